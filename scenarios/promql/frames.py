"""Pure: what expressions evaluate to: rows of numbers over evaluation steps, with a mask of where there is a sample.

A *frame* is an instant vector at each of T steps: S label sets, values and presence as (S, T) arrays. A value without presence
means nothing; NaN with presence is a sample. A scalar is a plain (T,) array. *Samples* are a frame at the times of its samples
instead of evaluation steps: what range functions read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenarios.promql.errors import ExecutionError
from scenarios.promql.labels import Labels, without_name

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frame:
    """An instant vector at each step: `labels` has S entries, `values` (float64) and `present` are (S, T)."""

    labels: tuple[Labels, ...]
    values: Numbers
    present: Mask

    def taken(self, rows: Integers) -> Frame:
        """Return some rows, in the given order."""
        return Frame(tuple(self.labels[row] for row in rows.tolist()), self.values[rows], self.present[rows])

    def filled(self) -> Frame:
        """Return the rows with a sample at some step."""
        return self.taken(np.flatnonzero(self.present.any(axis=1)))

    def nameless(self) -> Frame:
        """Return the same rows without their metric names.

        Raises:
            ExecutionError: two rows become the same at one step.
        """
        return merged([without_name(labels) for labels in self.labels], self.values, self.present)


@dataclass(frozen=True, slots=True)
class Samples:
    """Series whose samples share their times: `times_ms` is (K,), rising; the frame is (S, K)."""

    times_ms: Integers
    frame: Frame


Value = Frame | Numbers


def empty(steps: int) -> Frame:
    """Return a vector without elements at any step."""
    return Frame((), np.empty((0, steps)), np.empty((0, steps), bool))


def grouped(keys: Sequence[Labels]) -> tuple[list[Labels], list[list[int]]]:
    """Return the distinct keys in their first order, and the rows of each."""
    rows: dict[Labels, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return list(rows), list(rows.values())


def merged(labels: Sequence[Labels], values: Numbers, present: Mask) -> Frame:
    """Return a frame in which rows with the same labels are one.

    Raises:
        ExecutionError: two of them have a sample at one step.
    """
    keys, groups = grouped(labels)
    if len(keys) == len(labels):
        return Frame(tuple(labels), values, present)
    merged_values, merged_present = np.empty((len(keys), values.shape[1])), np.empty((len(keys), values.shape[1]), bool)
    for row, (key, group) in enumerate(zip(keys, groups, strict=True)):
        merged_values[row], merged_present[row] = one_row(values[group], present[group], labels=key)
    return Frame(tuple(keys), merged_values, merged_present)


def one_row(values: Numbers, present: Mask, *, labels: Labels) -> tuple[Numbers, Mask]:
    """Return one row (T,) of several (N, T) that never have a sample at the same step.

    Raises:
        ExecutionError: two have.
    """
    if (present.sum(axis=0) > 1).any():
        raise ExecutionError(f"vector cannot contain metrics with the same labelset: {dict(labels)}")
    return np.where(present, values, 0.0).sum(axis=0), np.logical_or.reduce(present, axis=0)
