"""Pure: binary operators between two vectors: which series belong together, and the labels of what comes out.

Source: Prometheus 2.42, promql/engine.go, VectorBinop, VectorAnd, VectorOr, VectorUnless and resultMetric.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from scenarios.promql.errors import ExecutionError
from scenarios.promql.frames import Frame, Integers, Mask, empty, grouped, merged
from scenarios.promql.labels import NAME, Labels, drop, keep, replaced, without_name
from scenarios.promql.operators import Operation

SETS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, slots=True)
class Matching:
    """How series of two vectors find each other.

    Attributes:
        names: the labels in `on` or `ignoring`.
        on: only these labels count; otherwise all but them and the metric's name.
        grouped: '' where one series matches one, 'left' or 'right' for the side that may have many.
        included: the labels that the side with many takes from the other.
    """

    names: Collection[str] = ()
    on: bool = False
    grouped: str = ""
    included: tuple[str, ...] = ()

    def signature(self, labels: Labels) -> Labels:
        """Return what two series must have in common."""
        return keep(labels, self.names) if self.on else drop(labels, {*self.names, NAME})

    def result(self, many: Labels, one: Labels, *, keeps_name: bool) -> Labels:
        """Return the labels of the result of two series."""
        labels = many if keeps_name else without_name(many)
        if not self.grouped:
            return keep(labels, self.names) if self.on else drop(labels, self.names)
        for name in self.included:
            labels = replaced(labels, name, dict(one).get(name, ""))
        return labels


def matched(operation: Operation, left: Frame, right: Frame, *, matching: Matching) -> Frame:
    """Return the operation between the series that match.

    Raises:
        ExecutionError: more than one series matches on a side that may have one only, or two results have the same labels.
    """
    many, one = (right, left) if matching.grouped == "right" else (left, right)
    sides = _sides(many, one, matching)
    if not sides.many.size:
        return empty(left.values.shape[1])
    a, b = (sides.one, sides.many) if matching.grouped == "right" else (sides.many, sides.one)
    values, where = operation.on(left.values[a], right.values[b], kept=left.values[a])
    present = left.present[a] & right.present[b] & where
    if not matching.grouped:
        _refuse_several(present, sides=sides)
    keeps_name = operation.keeps_name
    labels = [
        matching.result(many.labels[i], one.labels[j], keeps_name=keeps_name)
        for i, j in zip(sides.many.tolist(), sides.one.tolist(), strict=True)
    ]
    result = merged(labels, values, present)
    if operation.as_number:
        result = result.nameless()
    return result.filled()


@dataclass(frozen=True, slots=True)
class _Sides:
    """The pairs of rows that match, and the number of each pair's signature."""

    many: Integers
    one: Integers
    signature: Integers


def _sides(many: Frame, one: Frame, matching: Matching) -> _Sides:
    keys, groups = grouped([matching.signature(labels) for labels in one.labels])
    number_of = {key: number for number, key in enumerate(keys)}
    wanted = many.present.any(axis=0)
    for key, rows in zip(keys, groups, strict=True):
        if len(rows) > 1 and ((one.present[rows].sum(axis=0) > 1) & wanted).any():
            raise ExecutionError(
                f"found duplicate series for the match group {dict(key)}; many-to-many matching not allowed: "
                "matching labels must be unique on one side"
            )
    found = [(row, number_of.get(matching.signature(labels))) for row, labels in enumerate(many.labels)]
    pairs = [(row, other, number) for row, number in found if number is not None for other in groups[number]]
    table = np.array(pairs, np.int64).reshape(-1, 3)
    return _Sides(table[:, 0], table[:, 1], table[:, 2])


def _refuse_several(present: Mask, *, sides: _Sides) -> None:
    _, groups = grouped([(("", str(number)),) for number in sides.signature.tolist()])
    if len(groups) < len(present) and any((present[rows].sum(axis=0) > 1).any() for rows in groups if len(rows) > 1):
        raise ExecutionError(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        )


def combined(operator: str, left: Frame, right: Frame, *, matching: Matching) -> Frame:
    """Return `and`, `or` or `unless` of two vectors: at each step, elements of one by what the other has.

    Raises:
        ExecutionError: two elements of the result have the same labels.
    """
    if operator == "or":
        rest = replace(right, present=right.present & ~_elsewhere(right, left, matching))
        both = Frame(
            left.labels + rest.labels, np.vstack([left.values, rest.values]), np.vstack([left.present, rest.present])
        )
        return merged(both.labels, both.values, both.present).filled()
    there = _elsewhere(left, right, matching)
    return replace(left, present=left.present & (there if operator == "and" else ~there)).filled()


def _elsewhere(frame: Frame, other: Frame, matching: Matching) -> Mask:
    """Tell for each element of a frame whether the other has one that matches at that step."""
    keys, groups = grouped([matching.signature(labels) for labels in other.labels])
    any_of = {key: other.present[rows].any(axis=0) for key, rows in zip(keys, groups, strict=True)}
    nowhere = np.zeros(frame.values.shape[1], bool)
    rows = [any_of.get(matching.signature(labels), nowhere) for labels in frame.labels]
    return np.array(rows, bool).reshape(frame.present.shape)
