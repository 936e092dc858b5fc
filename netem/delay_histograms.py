"""Pure: histograms of delays at receivers, one for all links with equal impairments.

Per link only sums are kept; a distribution per link would cost kilobytes for each of the tens of thousands of links that a few hundred
nodes have, most of which carry too little to judge a tail by. Links with equal impairments have equal laws, so their delays
are draws from one distribution, and together they show its shape.

Source: DESIGN section 3 (configured against realised delay).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from netem.clock import S
from netem.delay_law import DelayLaw
from netem.impairments.base import Impairment

BINS = 1024  # inner ones; one below and one above besides
MOST_CLASSES = 4096  # 32 MiB
UNCLASSED = 0
_BODY = 0.9999
_LATE_NS = 20_000_000.0  # beyond the law's body: as late as a valid run can be

Class = tuple[Impairment, ...]


def edges_ns(law: DelayLaw) -> np.ndarray:
    """Return the `BINS` + 1 edges of a law's bins: from half a bin below the shortest delay, so that none lies at an atom."""
    low_ns = law.quantile_s(0.0) * S
    width_ns = (law.quantile_s(_BODY) * S + _LATE_NS - low_ns) / (BINS - 0.5)
    edges: np.ndarray = low_ns + width_ns * (np.arange(BINS + 1) - 0.5)
    return edges


class DelayHistograms:
    """Count delays by class of link, at most `MOST_CLASSES` of them; what is beyond has no class, nor has a delay without law."""

    __slots__ = ("_counts", "_ids", "_low_ns", "_per_ns")

    def __init__(self) -> None:
        self._ids: dict[Class, int] = {}
        self._counts = np.zeros((1, BINS + 2), dtype=np.int64)
        self._low_ns = np.zeros(1)
        self._per_ns = np.zeros(1)

    def class_of(self, impairments: Class, law_of: Callable[[], DelayLaw | None]) -> int:
        """Return the id of a class; `law_of` is asked for its law when it is new."""
        found = self._ids.get(impairments)
        if found is None:
            law = law_of() if len(self._counts) <= MOST_CLASSES else None
            found = self._ids[impairments] = UNCLASSED if law is None else self._make(law)
        return found

    def _make(self, law: DelayLaw) -> int:
        edges = edges_ns(law)
        self._counts = np.concatenate((self._counts, np.zeros((1, BINS + 2), dtype=np.int64)))
        self._low_ns = np.append(self._low_ns, edges[0])
        self._per_ns = np.append(self._per_ns, 1.0 / (edges[1] - edges[0]))
        return len(self._counts) - 1

    def add(self, classes: np.ndarray, delays_ns: np.ndarray) -> None:
        """Count delays, each in its class."""
        bins = (delays_ns - self._low_ns[classes]) * self._per_ns[classes] + 1.0
        np.clip(bins, 0.0, BINS + 1.0, out=bins)
        np.add.at(self._counts.reshape(-1), classes * (BINS + 2) + bins.astype(np.int64), 1)

    def counts(self) -> Mapping[Class, np.ndarray]:
        """Return the counts by class: int64 of `BINS` + 2, the first below and the last above all edges."""
        return {key: self._counts[found].copy() for key, found in self._ids.items() if found != UNCLASSED}
