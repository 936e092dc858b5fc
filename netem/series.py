"""Pure: the values of a metric as plain numbers, by label values, in the order in which they came.

Whoever renders them keeps what it made of `keys`: keys only ever grow, but for `clear`.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence

Key = tuple[str, tuple[tuple[str, str], ...]]  # suffix of the sample's name, and its labels


class Series:
    """The values of a counter or gauge.

    Args:
        names: of its labels.
        bounds: how many values each label may take; what is beyond their product is not kept.

    Attributes:
        keys: what the values belong to; `values` has as many elements.
        era: how often it was cleared: then keys began anew.
    """

    __slots__ = ("_most", "_names", "_places", "era", "keys", "values")

    def __init__(self, names: Sequence[str] = (), bounds: Sequence[int] = ()) -> None:
        self._names = tuple(names)
        self._most = math.prod(bounds)
        self._places: dict[tuple[str, ...], int] = {}
        self.keys: list[Key] = []
        self.values: list[float] = []
        self.era = 0

    def start(self, values: Sequence[Sequence[str]]) -> None:
        """Begin with zeros for all combinations of label values."""
        for labels in itertools.product(*values):
            self.set(0, labels)

    def add(self, amount: float, labels: tuple[str, ...] = ()) -> None:
        """Add to the value of some label values, 0 at first."""
        place = self._place(labels)
        if place >= 0:
            self.values[place] += amount

    def set(self, value: float, labels: tuple[str, ...] = ()) -> None:
        """Set the value of some label values."""
        place = self._place(labels)
        if place >= 0:
            self.values[place] = value

    def get(self, labels: tuple[str, ...] = ()) -> float:
        """Return the value of some label values, 0 when there is none."""
        place = self._places.get(labels)
        return 0 if place is None else self.values[place]

    def clear(self) -> None:
        """Forget everything."""
        self._places.clear()
        self.keys.clear()
        self.values.clear()
        self.era += 1

    def _place(self, labels: tuple[str, ...]) -> int:
        place = self._places.get(labels)
        if place is None:
            place = len(self.keys)
            if place >= self._most:
                return -1
            self._places[labels] = place
            self.keys.append(("", tuple(zip(self._names, labels, strict=True))))
            self.values.append(0)
        return place


class Bins:
    """The values of a histogram: cumulative counts up to each edge, all, and the sum.

    Args:
        edges: upper limits, ascending, without infinity.
    """

    __slots__ = ("_counts", "_edges", "_sum", "era", "keys")

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = tuple(edges)
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0
        self.era = 0
        limits = [repr(float(edge)) for edge in edges] + ["+Inf"]
        self.keys: list[Key] = [("_bucket", (("le", limit),)) for limit in limits] + [("_count", ()), ("_sum", ())]

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect.bisect_left(self._edges, value)] += 1
        self._sum += value

    def replace(self, counts: Iterable[int], total: float) -> None:
        """Take counts by bucket (not cumulative, one more than edges) and the sum from who counted them."""
        self._counts = list(counts)
        self._sum = total

    @property
    def values(self) -> list[float]:
        """Return the values in the order of `keys`."""
        cumulative = list(itertools.accumulate(self._counts))
        return [*cumulative, cumulative[-1], self._sum]
