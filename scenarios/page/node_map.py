"""Pure: who talks to whom in a run, which links are cut or held, and what they lose: for a drawing of the network.

Up to `MOST_DRAWN_NODES` nodes every busy, cut or held pair is told; beyond, each node's sums say more than a million lines would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netem.events import Event
from netem.faults import FaultMade
from netem.link import LinkConfig

if TYPE_CHECKING:
    from netem.network import Network
    from netem.route import Route

MOST_DRAWN_NODES = 200
MOST_PAIRS = 2_000  # cut and held ones first, then the busiest
OPEN, CUT, HELD = range(3)  # what links do; of a pair's two links a cut one is told, then a held one
LINKS_PER_STEP = 1_000


class NodeMap:
    """The state of a network's hosts and links, read in steps.

    Busy means datagrams received since the reading before. Over several processes only links that end here are known.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._numbers: dict[str, int] = {}
        self._ends = np.zeros((2, 0), dtype=np.int64)
        self._state = np.zeros(0, dtype=np.int64)
        self._loss = np.zeros(0)
        self._received = np.zeros(0, dtype=np.int64)
        self._busy = np.zeros(0, dtype=np.int64)
        self._changed = False
        self._losses: dict[LinkConfig, float] = {}

    def fold(self, _time_ns: int, event: Event) -> None:
        """Take an event: after a live change links must be read anew."""
        if isinstance(event, FaultMade):
            self._changed = True

    def steps(self) -> Iterator[None]:
        """Bring it up to date, yielding between steps of at most a few milliseconds."""
        network = self._network
        for name in list(network.hosts)[len(self._numbers) :]:
            self._numbers[name] = len(self._numbers)
        known = self._ends.shape[1]
        begin, self._changed = (0, False) if self._changed else (known, self._changed)
        end = len(network.routes)
        while begin < end:
            self._read(network.routes[begin : min(begin + LINKS_PER_STEP, end)], begin)
            begin += LINKS_PER_STEP
            yield
        received = np.zeros(end, dtype=np.int64)
        counted = network.fates.received_by_link()[:end]
        received[: len(counted)] = counted
        before = np.zeros(end, dtype=np.int64)
        before[: len(self._received)] = self._received
        self._busy, self._received = received - before, received
        yield

    def told(self) -> dict[str, Any]:
        """Return the hosts in columns, and the pairs of hosts as rows (one, other, datagrams, state, loss)."""
        hosts = list(self._network.hosts.values())[: len(self._numbers)]
        links = len(self._busy)
        ends, state, loss = self._ends[:, :links], self._state[:links], self._loss[:links]
        exits = np.maximum(np.bincount(ends[0], minlength=len(hosts)), 1)
        drawn = len(hosts) <= MOST_DRAWN_NODES + 1  # with the tracker
        return {
            "names": list(self._numbers),
            "up": [int(host.up) for host in hosts],
            "paused": [int(host.paused) for host in hosts],
            "elsewhere": sum(
                not host.here for host in hosts
            ),  # in other processes: what they send each other is not known here
            "busy": np.bincount(ends[1], self._busy, len(hosts)).astype(int).tolist(),
            "cut": (np.bincount(ends[0], state == CUT, len(hosts)) / exits).round(3).tolist(),
            "loss": (np.bincount(ends[0], loss, len(hosts)) / exits).round(4).tolist(),
            "links": links,
            "pairs": self._pairs(ends, state, loss) if drawn else None,
        }

    def _read(self, part: Sequence[Route], begin: int) -> None:
        """Take the ends and states of some links, which follow each other by id."""
        numbers = self._numbers
        ends = np.array([[numbers[route.source.name], numbers[route.target.name]] for route in part]).T
        state = np.array([CUT if not route.link.open else OPEN if route.held is None else HELD for route in part])
        loss = np.array([self._loss_of(route.link.config) for route in part])
        self._ends = np.concatenate((self._ends[:, :begin], ends, self._ends[:, begin + len(part) :]), axis=1)
        self._state = np.concatenate((self._state[:begin], state, self._state[begin + len(part) :]))
        self._loss = np.concatenate((self._loss[:begin], loss, self._loss[begin + len(part) :]))

    def _loss_of(self, config: LinkConfig) -> float:
        loss = self._losses.get(config)
        if loss is None:
            loss = self._losses[config] = config.loss_rate()
        return loss

    def _pairs(self, ends: np.ndarray, state: np.ndarray, loss: np.ndarray) -> list[list[float]]:
        """Return both directions of each pair together: the datagrams of both, cut or held if one is, the larger loss."""
        hosts = len(self._numbers)
        keys = ends.min(axis=0) * hosts + ends.max(axis=0)
        pairs, places = np.unique(keys, return_inverse=True)
        busy = np.bincount(places, self._busy, len(pairs)).astype(np.int64)
        of_both = np.where(np.bincount(places, state == HELD, len(pairs)) > 0, HELD, OPEN)
        of_both[np.bincount(places, state == CUT, len(pairs)) > 0] = CUT
        worst = np.zeros(len(pairs))
        np.maximum.at(worst, places, loss)
        order = np.lexsort((-busy, of_both == OPEN))[:MOST_PAIRS]
        shown = order[(busy[order] > 0) | (of_both[order] != OPEN)]
        return [
            [one, other, packets, doing, round(share, 4)]
            for one, other, packets, doing, share in zip(
                (pairs[shown] // hosts).tolist(),
                (pairs[shown] % hosts).tolist(),
                busy[shown].tolist(),
                of_both[shown].tolist(),
                worst[shown].tolist(),
                strict=True,
            )
        ]
