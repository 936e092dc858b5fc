"""Pure: aggregation over series at each step: sum, avg, min, max, count, quantile, topk and bottomk, by or without labels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from scenarios.promql.errors import ExecutionError, outside_subset
from scenarios.promql.frames import Frame, Integers, Mask, Numbers, empty, grouped
from scenarios.promql.labels import NAME, Labels, drop, keep
from scenarios.promql.quantiles import quantile

WITH_NUMBER = frozenset({"topk", "bottomk", "quantile"})
REDUCTIONS = frozenset({"sum", "avg", "min", "max", "count"})


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which labels a group has in common: the named ones, or with `without` all but them."""

    names: Collection[str] = ()
    without: bool = False

    def of(self, labels: Labels) -> Labels:
        """Return the labels of the group that a series belongs to."""
        return drop(labels, {*self.names, NAME}) if self.without else keep(labels, self.names)


def aggregated(operator: str, frame: Frame, *, grouping: Grouping, number: Numbers | None) -> Frame:
    """Return the aggregate of each group at each step; `number`, (T,), is what `topk`, `bottomk` and `quantile` take.

    Raises:
        BadQuery: another operator.
        ExecutionError: a count for `topk` or `bottomk` that is no integer.
    """
    if operator not in WITH_NUMBER | REDUCTIONS:
        raise outside_subset(f"aggregation with {operator}")
    counts = _counts(number) if number is not None and operator != "quantile" else None
    keys, groups = grouped([grouping.of(labels) for labels in frame.labels])
    if not keys:
        return empty(frame.values.shape[1])
    if counts is not None:
        return _best(frame, groups, counts=counts, largest=operator == "topk")
    if number is not None:
        found = np.array([quantile(number, frame.values[rows].T, frame.present[rows].T) for rows in groups])
        return Frame(tuple(keys), found, np.array([frame.present[rows].any(axis=0) for rows in groups]))
    order, starts = np.concatenate([np.asarray(rows) for rows in groups]), np.cumsum([0, *map(len, groups)])[:-1]
    return Frame(tuple(keys), *_reduced(operator, frame.values[order], frame.present[order], starts=starts))


def _reduced(operator: str, values: Numbers, present: Mask, *, starts: Integers) -> tuple[Numbers, Mask]:
    """Return the reduction of consecutive rows, and where a group has any sample."""
    count = np.add.reduceat(present, starts, axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        match operator:
            case "count":
                found = count
            case "min":
                found = np.fmin.reduceat(np.where(present, values, np.nan), starts, axis=0)
            case "max":
                found = np.fmax.reduceat(np.where(present, values, np.nan), starts, axis=0)
            case _:
                found = np.add.reduceat(np.where(present, values, 0.0), starts, axis=0)
        if operator == "avg":
            found = found / count
    return found, count > 0


def _counts(number: Numbers) -> Numbers:
    if not (np.abs(number) < 2.0**63).all():  # NaN is refused too
        raise ExecutionError(f"Scalar value {number[~(np.abs(number) < 2.0**63)][0]} overflows int64")
    return np.trunc(number)


def _best(frame: Frame, groups: list[list[int]], *, counts: Numbers, largest: bool) -> Frame:
    """Return the rows with the largest or smallest values of each group; NaN comes last, ties go to the earlier row."""
    present = np.zeros_like(frame.present)
    order: list[int] = []
    for rows in groups:
        values, there = frame.values[rows], frame.present[rows]
        by_value = np.lexsort((-values if largest else values, np.isnan(values), ~there), axis=0)
        place = np.argsort(by_value, axis=0)
        present[rows] = there & (place < counts)
        order.extend(rows[i] for i in by_value[:, -1])  # an instant vector comes out in the order of its values
    return Frame(frame.labels, frame.values, present).taken(np.array(order)).filled()
