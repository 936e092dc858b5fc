"""Pure: how a process reads its part of a network while it runs: in slices of links, each of about a millisecond.

Packets move on meanwhile, so the sums are of moments some milliseconds apart.

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from netem.fates import Cause, FateLog, no_drops
from netem.reading import Reading, Timing, Traffic

if TYPE_CHECKING:
    from netem.host import Host
    from netem.lag import LagMeter
    from netem.link import Link, LinkConfig
    from netem.route import Route, Wire

LINKS_PER_STEP, NEW_LINKS_PER_STEP = 4_000, 400  # about a millisecond each
_NUMBER, _COPIES, _IN_FLIGHT = map(operator.attrgetter, ("number", "duplicated", "in_flight"))
_SOONER = [Cause.LOSS, Cause.PARTITION, Cause.UPLINK_QUEUE]  # dropped before or by the impairments


class Readable(Protocol):
    """A network as far as it is read; see `Network`."""

    fates: FateLog
    lag: LagMeter
    wire: Wire

    @property
    def hosts(self) -> Mapping[str, Host]:
        """Return all hosts by name."""
        ...

    @property
    def routes(self) -> Sequence[Route]:
        """Return the routes there are so far, in the order of their link ids."""
        ...

    @property
    def changes_made(self) -> int:
        """Return how many live changes there were."""
        ...


class Reader:
    """Read this process's part of a network; 20,000 links cost some milliseconds.

    Who reads while it is being read gets `traffic` as it was.
    """

    def __init__(self, network: Readable) -> None:
        self.traffic = Traffic()
        self._network = network
        self._laws: dict[LinkConfig, tuple[float, float]] = {}
        self._laws_read = 0  # after how many live changes
        self._links_here = 0
        self._busy = False
        # By link id, at the last reading. What stopped at a partition was not exposed.
        self._links: list[Link] = []
        self._counters: list[list[int]] = []  # the links' own
        self._dropped: list[list[int]] = []
        self._stopped = self._exposed = self._received = np.zeros(0, dtype=np.int64)
        self._law = np.zeros((0, 2))
        self._drops = np.zeros(max(Cause) + 1, dtype=np.int64)
        self._predicted = np.zeros(2)

    def timing(self) -> Timing:
        """See `Readings`."""
        network = self._network
        return Timing(
            self._sent(),
            network.wire.kernel_drops() or 0,
            lag=network.lag.histogram.counts(),
            lateness=network.fates.lateness.counts(),
        )

    def reading(self) -> Reading:
        """Return what was read, and how late the host is."""
        return Reading(self.traffic, self.timing(), links=len(self._network.routes))

    def read(self) -> Iterator[None]:
        """See `Readings`."""
        if self._busy:
            return
        self._busy = True
        try:
            yield from self._read()
        finally:
            self._busy = False

    def _read(self) -> Iterator[None]:
        network = self._network
        if self._laws_read != network.changes_made:
            self._laws_read = network.changes_made
            yield from self._read_laws()
        received = network.fates.received_by_link()
        yield
        copies = in_flight = begin = 0
        routes = network.routes
        while begin < len(routes):
            known = len(self._links)
            end = min(begin + LINKS_PER_STEP, known) if begin < known else min(begin + NEW_LINKS_PER_STEP, len(routes))
            self._make_room(end)
            self._read_links(begin, end, received)
            in_flight += sum(map(_IN_FLIGHT, routes[begin:end]))
            copies += sum(map(_COPIES, self._links[begin:end]))
            begin = end
            yield
        exposed, delivered = int(self._exposed.sum()), int(self._received.sum())
        later = int(self._drops.sum() - self._drops[_SOONER].sum())
        dropped = self._drops.copy()
        for host in network.hosts.values():
            dropped += host.unrouted
        dropped[Cause.KERNEL] += network.wire.kernel_drops() or 0
        self.traffic = Traffic(
            sent=self._sent(),
            copies=copies,
            links=self._links_here,
            in_flight=in_flight,
            exposed=exposed,
            missing=exposed + copies - in_flight - delivered - later,
            delivered=delivered,
            delay_ns=network.fates.totals().delay_sum_ns,
            lost_predicted=float(self._predicted[0]),
            delay_predicted_s=float(self._predicted[1]),
            dropped=dropped.tolist(),
        )

    def _sent(self) -> int:
        return sum(host.sent for host in self._network.hosts.values())

    def _make_room(self, end: int) -> None:
        """Take links up to an id that are new."""
        fresh = self._network.routes[len(self._links) : end]
        if not fresh:
            return
        self._links += [route.link for route in fresh]
        self._counters += [route.link.dropped for route in fresh]
        self._dropped += [no_drops() for _ in fresh]
        self._links_here += sum(route.source.here for route in fresh)
        self._law = np.concatenate((self._law, [self._law_of(route.link.config) for route in fresh]))
        room = np.zeros(len(fresh), dtype=np.int64)
        self._stopped, self._exposed, self._received = (
            np.concatenate((row, room)) for row in (self._stopped, self._exposed, self._received)
        )

    def _read_laws(self) -> Iterator[None]:
        """Read anew what links do."""
        for begin in range(0, len(self._law), LINKS_PER_STEP):
            part = self._network.routes[begin : min(begin + LINKS_PER_STEP, len(self._law))]
            self._law[begin : begin + len(part)] = [self._law_of(route.link.config) for route in part]
            yield

    def _law_of(self, config: LinkConfig) -> tuple[float, float]:
        law = self._laws.get(config)
        if law is None:
            law = self._laws[config] = config.loss_rate(), config.mean_delay_s()
        return law

    def _read_links(self, begin: int, end: int, seen: np.ndarray) -> None:
        """Add what is new on some links, which follow each other by id; `seen` are the receivers' counts, as far as there are any."""
        counters, before = self._counters[begin:end], self._dropped[begin:end]
        changed = list(itertools.compress(range(begin, end), map(operator.ne, counters, before)))
        if changed:
            now = [self._counters[place].copy() for place in changed]
            self._drops += np.array(now).sum(axis=0) - np.array([self._dropped[place] for place in changed]).sum(axis=0)
            self._stopped[changed] = [counts[Cause.PARTITION] for counts in now]
            for place, counts in zip(changed, now, strict=True):
                self._dropped[place] = counts
        exposed = np.fromiter(map(_NUMBER, self._links[begin:end]), np.int64, end - begin) - self._stopped[begin:end]
        received = np.zeros(end - begin, dtype=np.int64)
        received[: max(len(seen) - begin, 0)] = seen[begin:end]
        law = self._law[begin:end]
        self._predicted += (
            (exposed - self._exposed[begin:end]) @ law[:, 0],
            (received - self._received[begin:end]) @ law[:, 1],
        )
        self._exposed[begin:end], self._received[begin:end] = exposed, received
