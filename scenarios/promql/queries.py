"""Pure: whole queries, at one time or over a range of steps, as the query API asks them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import promql_parser
from promql_parser import Expr, MatrixSelector, ParenExpr, StringLiteral, SubqueryExpr

from scenarios.promql.errors import BadQuery, outside_subset
from scenarios.promql.evaluation import Evaluator
from scenarios.promql.frames import Frame, Integers, Numbers
from scenarios.promql.functions import vector
from scenarios.promql.store import SampleStore

MOST_POINTS = 11_000  # per series, Prometheus's own limit


@dataclass(frozen=True, slots=True)
class Matrix:
    """Series over time: `times_ms` is (T,), the frame (S, T) in the order of the labels, every row with a sample at least."""

    times_ms: Integers
    frame: Frame


@dataclass(frozen=True, slots=True)
class Vector:
    """Series at one time: the frame is (S, 1)."""

    time_ms: int
    frame: Frame


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number at one time."""

    time_ms: int
    value: float


@lru_cache(maxsize=512)  # a page asks the same queries every second, and trees are never changed
def parsed(query: str) -> Expr:
    """Return the syntax tree of a query.

    Raises:
        BadQuery: it is no PromQL.
    """
    try:
        tree: Expr = promql_parser.parse(query)
    except ValueError as error:
        raise BadQuery(f"parse error: {error}") from error
    return tree


def evaluate_range(store: SampleStore, query: str, *, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
    """Return the value of a query at each step from `start_ms` to at most `end_ms`; a scalar is a series without labels.

    Raises:
        BadQuery: no PromQL, outside the subset, of no type that has a value at each step, or too many steps.
        ExecutionError: it has no answer on these samples.
    """
    steps_ms = _steps(start_ms, end_ms, step_ms)
    tree = parsed(query)
    inner = _bare(tree)
    if isinstance(inner, MatrixSelector | SubqueryExpr | StringLiteral):
        kind = "string" if isinstance(inner, StringLiteral) else "range vector"
        raise BadQuery(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
    value = Evaluator(store, steps_ms).value(tree)
    return Matrix(steps_ms, _ordered(value if isinstance(value, Frame) else vector(value)))


def evaluate_instant(store: SampleStore, query: str, *, time_ms: int) -> Matrix | Vector | Scalar:
    """Return the value of a query at one time; that of a range selector is its samples.

    Raises:
        BadQuery: no PromQL, or outside the subset.
        ExecutionError: it has no answer on these samples.
    """
    tree = parsed(query)
    evaluator = Evaluator(store, np.array([time_ms], np.int64))
    inner = _bare(tree)
    if isinstance(inner, StringLiteral):
        raise outside_subset("a string as a query")
    if isinstance(inner, MatrixSelector | SubqueryExpr):
        windows = evaluator.windows(inner)
        low, high = (int(column[0]) for column in windows.columns())
        frame = windows.samples.frame
        part = Frame(frame.labels, frame.values[:, low:high], frame.present[:, low:high])
        return Matrix(windows.samples.times_ms[low:high], _ordered(part))
    value: Frame | Numbers = evaluator.value(tree)
    return Vector(time_ms, value.filled()) if isinstance(value, Frame) else Scalar(time_ms, float(value[0]))


def _bare(node: Expr) -> Expr:
    while isinstance(node, ParenExpr):
        node = node.expr
    return node


def _steps(start_ms: int, end_ms: int, step_ms: int) -> Integers:
    if step_ms <= 0:
        raise BadQuery("zero or negative query resolution step widths are not accepted. Try a positive integer")
    if end_ms < start_ms:
        raise BadQuery("end timestamp must not be before start time")
    if (end_ms - start_ms) // step_ms > MOST_POINTS:
        raise BadQuery(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
        )
    return np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)


def _ordered(frame: Frame) -> Frame:
    filled = frame.filled()
    return filled.taken(np.array(sorted(range(len(filled.labels)), key=filled.labels.__getitem__), np.int64))
