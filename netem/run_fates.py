"""Pure: the recorded fates of a run's datagrams, link by link."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from netem.link import Exposure


@dataclass(slots=True)
class LinkFate:
    """What is known of one link's packets, by all processes.

    `numbers` and `delays_ns` (int64) have an element an arrival, in order; `places` says where each stands among all arrivals.
    """

    offered: int = 0
    copies: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    exposures: tuple[Exposure, ...] = ()
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    delays_ns: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    places: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def arrivals(self) -> dict[int, list[int]]:
        """Return the own delays (ns) of the arrivals by packet number, in order."""
        arrivals: dict[int, list[int]] = {}
        for number, delay_ns in zip(self.numbers.tolist(), self.delays_ns.tolist(), strict=True):
            arrivals.setdefault(number, []).append(delay_ns)
        return arrivals


@dataclass(slots=True)
class RunFates:
    """A run's fates: its seed, and its links by source and target, sorted."""

    run_seed: int
    links: dict[tuple[str, str], LinkFate]
