"""trio: what a directed link does to TCP: when a chunk leaves and arrives, how often it is sent again, and how much may be in flight.

`netem.streams` says how streams use it.

Source: DESIGN section 3.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from netem.clock import Clock
from netem.link import Link, LinkConfig
from netem.link_line import LinkLine
from netem.randomness import BlockUniforms
from netem.route import Route

RETRANSMISSION_TIMEOUT_NS = 200_000_000
MOST_LOSSES = 8
SEGMENT_BYTES = 1448
WINDOW_BYTES = 64 * 1024


class Lane:
    """One ordered pair of hosts as their streams see it; all streams of the pair share it.

    Args:
        route: the pair's route, which says whether the direction is open and whose source has the uplink.
        uniforms: the run's block generator.
        clock: the run's clock.
        opened: where tasks park until some partition or hold ends.
    """

    def __init__(
        self, route: Route, *, uniforms: BlockUniforms, clock: Clock, opened: trio.lowlevel.ParkingLot
    ) -> None:
        config = route.link.config
        self._route = route
        self.source = route.source
        self._uplink = route.source.uplink
        names = route.source.name, route.target.name
        self._line = LinkLine(_streams(config), uniforms=uniforms, key=uniforms.key("slot (tcp)", *names))
        # Only the source's name differs from the datagrams' link: streams draw fates of their own.
        self._chance = Link(
            LinkConfig(config.impairments, seed=config.seed),
            source=f"{route.source.name} (tcp)",
            target=route.target.name,
            uniforms=uniforms,
            link_id=route.link_id,
        )
        self._clock = clock
        self.call_at = clock.call_at
        self._opened = opened

    def reconfigure(self, config: LinkConfig) -> None:
        """Follow a live change of the link."""
        self._chance.reconfigure(LinkConfig(config.impairments, seed=config.seed))
        self._line.configure(_streams(config))

    async def depart(self, size_bytes: int) -> int:
        """Send a chunk and return when it arrives if nothing holds it (ns); wait while a queue is full.

        Raises:
            TimeoutError: it was lost too many times in a row.
        """
        departure_ns = -1
        while departure_ns < 0:
            departure_ns = self._uplink.admit(self._clock.now_ns(), size_bytes)
            if departure_ns >= 0:
                departure_ns = self._line.leave(departure_ns, departure_ns, self._rated_bytes(size_bytes))
            if departure_ns < 0:
                await trio.sleep(RETRANSMISSION_TIMEOUT_NS / 1e9)
        timeout_ns = RETRANSMISSION_TIMEOUT_NS
        for _ in range(MOST_LOSSES):
            arrival_ns = self._chance.verdict(departure_ns, size_bytes)
            if arrival_ns > 0 and self._chance.damage < 0.0:  # TCP drops what its checksum finds damaged
                return arrival_ns
            departure_ns += timeout_ns
            timeout_ns *= 2
        raise TimeoutError(f"{MOST_LOSSES} transmissions in a row were lost")

    def _rated_bytes(self, size_bytes: int) -> int:
        """Return the bytes that the link's rate takes time for: a chunk is many segments, each with its overhead and cells."""
        full, rest = divmod(size_bytes, SEGMENT_BYTES)
        config = self._route.link.config
        return full * config.rated_bytes(SEGMENT_BYTES) + (config.rated_bytes(rest) if rest else 0)

    async def arrive(self, arrival_ns: int) -> None:
        """Wait until `arrival_ns`, and then until the direction is open."""
        if arrival_ns > self._clock.now_ns():
            arrived = trio.Event()
            self.call_at(arrival_ns, arrived.set)
            await arrived.wait()
        await self.opened()

    @property
    def is_open(self) -> bool:
        """Say whether no partition cuts the direction now, and nothing is held."""
        return self._route.link.open and self._route.held is None

    async def opened(self) -> None:
        """Wait until the direction is open; return at once when it is."""
        while not self.is_open:
            await self._opened.park()


class Window:
    """The bytes in flight of one direction of a stream: a sender waits while there are `WINDOW_BYTES` or more."""

    def __init__(self) -> None:
        self._in_flight_bytes = 0
        self._waiting = trio.lowlevel.ParkingLot()

    async def wait(self, check: Callable[[], None]) -> None:
        """Wait until there is room; `check` is called at each wake-up, to raise what else ended the wait."""
        while self._in_flight_bytes >= WINDOW_BYTES:
            await self._waiting.park()
            check()

    def take(self, size_bytes: int) -> None:
        """Count a chunk that left."""
        self._in_flight_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Count bytes that arrived."""
        self._in_flight_bytes -= size_bytes
        self.wake()

    def wake(self) -> None:
        """Let whoever waits check again, though nothing has arrived."""
        self._waiting.unpark_all()


def _streams(config: LinkConfig) -> LinkConfig:
    """Return what makes a link's streams wait: rate and slots; a sender waits where a packet meets a limit."""
    return LinkConfig((), config.rate_bytes_per_s, config.queue_bytes, slot=config.slot)
