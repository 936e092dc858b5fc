"""Pure: a histogram of lateness or loop lag with log-spaced bins, exact count and maximum.

Source: DESIGN section 3 (timer lateness and event-loop lag are measured).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FOLD = 65_536
# Eight bins an octave from 1 us to 134 s: a quantile is at most 9 % too high.
_EDGES_NS = 1000.0 * 2.0 ** (np.arange(8 * 27 + 1) / 8)
_OCTAVES = np.arange(4, 25) * 8
OCTAVES_S = tuple(2.0**octave / 1e6 for octave in range(4, 25))
"""The edges, from 16 us to 17 s, of the coarser counts that are shown while a run goes on."""

Counts = tuple[list[int], list[int], int, int]
"""As `LatencyHistogram.counts` returns them."""


class LatencyHistogram:
    """Count durations in nanoseconds; a negative one (early) counts as 0.

    Invariant: `count`, `max_ns` and `sum_ns` are exact.
    """

    __slots__ = ("_began_ns", "_bins", "_count", "_ends", "_left_out", "_max_ns", "_over", "_pending", "_sum_ns")

    def __init__(self) -> None:
        self._pending: list[int] = []
        self._began_ns: list[int] = []  # of durations that ended together ...
        self._ends: list[tuple[int, int]] = []  # ... when, and how many
        self._bins = np.zeros(len(_EDGES_NS) + 1, dtype=np.int64)
        self._left_out = np.zeros_like(self._bins)
        self._count = self._max_ns = self._sum_ns = 0
        self._over = False

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        self._pending.append(duration_ns)
        if len(self._pending) >= _FOLD:
            self._fold()

    def extend(self, began_ns: Sequence[int], now_ns: int) -> None:
        """Count many durations that end now, by when each began."""
        self._began_ns += began_ns
        self._ends.append((now_ns, len(began_ns)))
        if len(self._began_ns) >= _FOLD:
            self._fold()

    def begin(self) -> None:
        """Leave what was added so far out of `quantile_ns`: it was only preparation."""
        self._fold()
        self._left_out = self._bins.copy()

    def end(self) -> None:
        """Leave what is added from now on out of `quantile_ns`: it is only what comes after."""
        self._fold()
        self._over = True

    def by_octave(self) -> list[int]:
        """Return the counts up to each of `OCTAVES_S`, each without those before it, and then of all that is longer."""
        self._fold()
        counts: list[int] = np.add.reduceat(self._bins, [0, *(_OCTAVES + 1)]).tolist()
        return counts

    def counts(self) -> Counts:
        """Return the counts by bin, those left out of quantiles, the longest duration and the sum, for `merge` in another process."""
        self._fold()
        return self._bins.tolist(), self._left_out.tolist(), self._max_ns, self._sum_ns

    def merge(self, counts: Counts) -> None:
        """Add the `counts` of another histogram."""
        bins, left_out, max_ns, sum_ns = counts
        self._fold()
        self._bins += np.array(bins, dtype=np.int64)
        self._left_out += np.array(left_out, dtype=np.int64)
        self._count = int(self._bins.sum())
        self._max_ns = max(self._max_ns, max_ns)
        self._sum_ns += sum_ns

    @property
    def count(self) -> int:
        """How many durations were added."""
        return self._count + len(self._pending) + len(self._began_ns)

    @property
    def max_ns(self) -> int:
        """The longest duration so far, 0 if there is none."""
        self._fold()
        return self._max_ns

    @property
    def sum_ns(self) -> int:
        """The sum of all durations."""
        self._fold()
        return self._sum_ns

    def quantile_ns(self, share: float) -> int:
        """Return a duration that at least `share` (0..1) of all from `begin` to `end` do not exceed: at most 9 % (or 1 us) too high."""
        self._fold()
        bins = self._bins - self._left_out
        count = int(bins.sum())
        if not count:
            return 0
        rank = min(max(int(np.ceil(share * count)), 1), count)
        return int(self._tops()[int(np.searchsorted(np.cumsum(bins), rank))])

    def worst_mean_ns(self, share: np.ndarray, *, power: int = 1) -> np.ndarray:
        """Return upper bounds on the mean of any `share` (0..1) of the durations: the mean of the longest ones.

        With `power`, of their powers.
        """
        self._fold()
        if not self._count:
            return np.zeros_like(share, dtype=np.float64)
        wanted = np.maximum(share * self._count, 1.0)
        counts, tops = self._bins[::-1], self._tops()[::-1] ** power
        counted, summed = np.append(0.0, np.cumsum(counts)), np.append(0.0, np.cumsum(counts * tops))
        worst: np.ndarray = np.interp(wanted, counted, summed) / wanted
        return worst

    def worst_quantile_ns(self, share: float) -> int:
        """Return a duration that at least `share` (0..1) of all do not exceed, those before `begin` included."""
        self._fold()
        if not self._count:
            return 0
        rank = min(max(int(np.ceil(share * self._count)), 1), self._count)
        return int(self._tops()[int(np.searchsorted(np.cumsum(self._bins), rank))])

    def _tops(self) -> np.ndarray:
        """The highest duration that each bin may hold."""
        tops: np.ndarray = np.minimum(np.append(_EDGES_NS, np.inf), self._max_ns)
        return tops

    def _fold(self) -> None:
        if not (self._pending or self._began_ns):
            return
        ends_ns, together = np.array(self._ends, dtype=np.int64).reshape(-1, 2).T
        lasted_ns = ends_ns.repeat(together) - np.array(self._began_ns, dtype=np.int64)
        durations = np.maximum(np.concatenate((np.array(self._pending, dtype=np.int64), lasted_ns)), 0)
        for column in (self._pending, self._began_ns, self._ends):
            column.clear()
        bins = np.bincount(np.searchsorted(_EDGES_NS, durations), minlength=len(self._bins))
        self._bins += bins
        if self._over:
            self._left_out += bins
        self._count += len(durations)
        self._max_ns = max(self._max_ns, int(durations.max()))
        self._sum_ns += int(durations.sum())
