"""Pure: the evaluator: walks the syntax tree of a query once, with all steps at a time in every operation.

What it does not know it refuses by name, whatever the samples: an answer is Prometheus's or none. `tests/scenarios/promql` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    BinModifier,
    Call,
    Expr,
    LabelModifierType,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatchCardinality,
    VectorSelector,
)

from scenarios.promql import functions
from scenarios.promql.aggregation import Grouping, aggregated
from scenarios.promql.errors import BadQuery, outside_subset
from scenarios.promql.frames import Frame, Integers, Numbers, Samples, Value
from scenarios.promql.histograms import histogram_quantile
from scenarios.promql.matching import SETS, Matching, combined, matched
from scenarios.promql.operators import Operation, with_scalar
from scenarios.promql.over_time import quantile_summary, summarised
from scenarios.promql.selectors import instant, milliseconds, selected
from scenarios.promql.store import SampleStore
from scenarios.promql.windows import Windows

MOST_SUBQUERY_STEPS = 11_000


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates expressions over a store at steps, (T,) rising times in ms."""

    store: SampleStore
    steps_ms: Integers

    def value(self, node: Expr) -> Value:
        """Return the vector or scalar of an expression at each step.

        Raises:
            BadQuery: the expression is outside the subset.
            ExecutionError: it has no answer on these samples.
        """
        for kind, evaluate in _NODES:
            if isinstance(node, kind):
                return evaluate(self, node)
        raise outside_subset(f"{type(node).__name__} at this place")

    def vector(self, node: Expr) -> Frame:
        """Return the vector of an expression; the parser has checked that it is one."""
        value = self.value(node)
        assert isinstance(value, Frame), "the parser checks types"
        return value

    def scalar(self, node: Expr) -> Numbers:
        """Return the scalar of an expression; the parser has checked that it is one."""
        value = self.value(node)
        assert not isinstance(value, Frame), "the parser checks types"
        return value

    def windows(self, node: Expr) -> Windows:
        """Return the windows of a range selector or subquery.

        Raises:
            BadQuery: a subquery without a step of its own, or an `@` modifier.
        """
        match node:
            case ParenExpr():
                return self.windows(node.expr)
            case MatrixSelector():
                ends, width = self.steps_ms - milliseconds(node.vector_selector.offset), milliseconds(node.range)
                samples = selected(
                    self.store, node.vector_selector, start_ms=int(ends[0]) - width, end_ms=int(ends[-1])
                )
                return Windows(samples, ends, width)
            case SubqueryExpr():
                return self._subquery(node)
            case _:
                raise outside_subset(f"{type(node).__name__} as a range")

    def _subquery(self, node: SubqueryExpr) -> Windows:
        if node.step is None or node.at is not None:
            raise outside_subset("a subquery without a step or with the @ modifier")
        ends, width, step = self.steps_ms - milliseconds(node.offset), milliseconds(node.range), milliseconds(node.step)
        first = -(-(int(ends[0]) - width) // step) * step  # multiples of the step, whatever the query's own steps
        if (int(ends[-1]) - first) // step > MOST_SUBQUERY_STEPS:
            raise BadQuery(f"a subquery has at most {MOST_SUBQUERY_STEPS:,} steps here; take a larger step")
        times = np.arange(first, int(ends[-1]) + 1, step, dtype=np.int64)
        if not times.size:
            return Windows(self.store.samples(np.empty(0, np.int64), start_ms=0, end_ms=0), ends, width)
        return Windows(Samples(times, Evaluator(self.store, times).vector(node.expr)), ends, width)


def _negated(at: Evaluator, node: UnaryExpr) -> Value:
    value = at.value(node.expr)
    return replace(value, values=-value.values).nameless() if isinstance(value, Frame) else -value


def _aggregate(at: Evaluator, node: AggregateExpr) -> Frame:
    grouping = Grouping()
    if node.modifier is not None:
        grouping = Grouping(tuple(node.modifier.labels), node.modifier.type == AggModifierType.Without)
    if isinstance(node.param, StringLiteral):
        raise outside_subset(f"aggregation with {node.op}")
    number = None if node.param is None else at.scalar(node.param)
    return aggregated(str(node.op), at.vector(node.expr), grouping=grouping, number=number)


def _binary(at: Evaluator, node: BinaryExpr) -> Value:
    left, right, operator = at.value(node.lhs), at.value(node.rhs), str(node.op)
    as_number = node.modifier is not None and node.modifier.return_bool
    if isinstance(left, Frame) and isinstance(right, Frame):
        matching = _matching(node.modifier)
        if operator in SETS:
            return combined(operator, left, right, matching=matching)
        return matched(Operation(operator, as_number), left, right, matching=matching)
    return with_scalar(Operation(operator, as_number), left, right)


def _call(at: Evaluator, node: Call) -> Value:
    name, arguments = node.func.name, node.args
    if name in functions.OVER_WINDOWS:
        function = functions.OVER_WINDOWS[name]
        return functions.over_windows(at.windows(arguments[0]), function, keeps_name=name in functions.KEEPS_NAME)
    if name in functions.OF_VALUES:
        return functions.of_values(name, at.vector(arguments[0]), *map(at.scalar, arguments[1:]))
    if name not in _CALLS:
        raise outside_subset(f"the function {name}()")
    return _CALLS[name](at, *arguments)


def _quantile_over_time(at: Evaluator, share: Expr, window: Expr) -> Frame:
    summary = quantile_summary(at.scalar(share))
    return functions.over_windows(at.windows(window), lambda windows: summarised(windows, summary), keeps_name=False)


def _label_replace(at: Evaluator, node: Expr, *texts: Expr) -> Frame:
    target, template, source, expression = map(_text, texts)
    return functions.label_replace(
        at.vector(node), target=target, template=template, source=source, expression=expression
    )


def _text(node: Expr) -> str:
    if not isinstance(node, StringLiteral):
        raise outside_subset(f"{type(node).__name__} in place of a string")
    return node.val


_NODES: tuple[tuple[type[Expr], Callable[[Evaluator, Any], Value]], ...] = (
    (NumberLiteral, lambda at, node: np.full(len(at.steps_ms), node.val)),
    (ParenExpr, lambda at, node: at.value(node.expr)),
    (VectorSelector, lambda at, node: instant(at.store, node, at.steps_ms)),
    (UnaryExpr, _negated),
    (AggregateExpr, _aggregate),
    (BinaryExpr, _binary),
    (Call, _call),
)
_CALLS: dict[str, Callable[..., Value]] = {
    "quantile_over_time": _quantile_over_time,
    "histogram_quantile": lambda at, share, buckets: histogram_quantile(at.scalar(share), at.vector(buckets)),
    "label_replace": _label_replace,
    "scalar": lambda at, node: functions.scalar(at.vector(node)),
    "vector": lambda at, node: functions.vector(at.scalar(node)),
    "time": lambda at: at.steps_ms / 1000,
}


def _matching(modifier: BinModifier | None) -> Matching:
    if modifier is None:
        return Matching()
    if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
        raise outside_subset("fill values")
    sides = ((VectorMatchCardinality.ManyToOne, "left"), (VectorMatchCardinality.OneToMany, "right"))
    many = next((side for cardinality, side in sides if modifier.card == cardinality), "")
    names = () if modifier.matching is None else tuple(modifier.matching.labels)
    on = modifier.matching is not None and modifier.matching.type == LabelModifierType.Include
    return Matching(names, on, many, tuple(modifier.group_labels or ()))
