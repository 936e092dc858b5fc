"""Pure: the samples in the window before each step, for functions over ranges.

A window holds the samples from `step - range` to the step, both inclusive, as in Prometheus 2 (Prometheus 3 leaves its older end open).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scenarios.promql.frames import Integers, Mask, Numbers, Samples

CELLS_AT_ONCE = 2_000_000  # 16 MB of samples in a slice


@dataclass(frozen=True, slots=True)
class Windows:
    """T windows over the samples of S series: the ends of the windows (T,) and their width, in ms."""

    samples: Samples
    ends_ms: Integers
    range_ms: int

    @property
    def shape(self) -> tuple[int, int]:
        """Return (S, T)."""
        return len(self.samples.frame.labels), len(self.ends_ms)

    def columns(self) -> tuple[Integers, Integers]:
        """Return the first column in each window and the first after it, (T,) both."""
        times = self.samples.times_ms
        return np.searchsorted(times, self.ends_ms - self.range_ms), np.searchsorted(times, self.ends_ms, "right")

    def edges(self) -> Edges:
        """Return which samples are the first and the last in each window."""
        low, high = self.columns()
        present = self.samples.frame.present
        last_column = max(len(self.samples.times_ms) - 1, 0)
        if present.all():
            first, last = np.minimum(low, last_column)[None, :], np.maximum(high - 1, 0)[None, :]
            return Edges(first, last, np.broadcast_to(high - low, self.shape))
        numbers = np.arange(present.shape[1])
        after = np.minimum.accumulate(np.where(present, numbers, last_column)[:, ::-1], axis=1)[:, ::-1]
        before = np.maximum.accumulate(np.where(present, numbers, 0), axis=1)
        counted = np.concatenate([np.zeros((len(present), 1), np.int64), np.cumsum(present, axis=1)], axis=1)
        return Edges(
            after[:, np.minimum(low, last_column)],
            before[:, np.maximum(high - 1, 0)],
            counted[:, high] - counted[:, low],
        )

    def slices(self) -> Iterator[tuple[slice, Numbers, Mask]]:
        """Yield a slice of the series at a time with its samples in every window, (series, T, most samples), and which are there."""
        low, high = self.columns()
        most = int((high - low).max(initial=0))
        column = low[:, None] + np.arange(most)
        inside = column < high[:, None]
        column = np.where(inside, column, 0)
        frame = self.samples.frame
        at_once = max(1, CELLS_AT_ONCE // max(1, column.size))
        for first in range(0, len(frame.labels), at_once):
            rows = slice(first, first + at_once)
            yield rows, frame.values[rows][:, column], frame.present[rows][:, column] & inside


@dataclass(frozen=True, slots=True)
class Edges:
    """The columns of the first and the last sample in each window, and how many samples it has.

    `first` and `last` are (S, T), or (1, T) where they are the same for all series; they mean nothing where `count`, (S, T), is 0.
    """

    first: Integers
    last: Integers
    count: Integers

    @staticmethod
    def at(values: Numbers, columns: Integers) -> Numbers:
        """Return values (S, K) at columns (S, T) or (1, T), as (S, T)."""
        if columns.shape[0] == 1:
            return values[:, columns[0]]
        return np.take_along_axis(values, columns, axis=1)
