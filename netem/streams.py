"""trio: TCP streams that feel their link.

Bytes of a stream cannot be lost in user space: the kernel (or memory) under it is reliable. What a link does to TCP is
therefore emulated as time, per chunk of at most 16 KiB (a control message is one chunk):

- the sender's uplink and the link's rate serialise chunks; a full queue makes the sender try again after one
  retransmission timeout;
- each chunk is delayed by the link's impairments, drawn from uniforms of its own, and never overtakes another;
- a chunk that the link would lose is held for one retransmission timeout (200 ms, doubled every further time); after 8
  losses in a row the stream breaks. Long transfers thus stall less often than real TCP, which draws per segment;
- a partition stalls the direction it cuts until it is healed; acknowledgements are not modelled;
- a crash of either host resets both ends.

At most 64 KiB of a direction are in flight; beyond, `send_all` waits.

Source: DESIGN section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from netem.clock import Clock
from netem.link import Link, LinkConfig
from netem.randomness import BlockUniforms
from netem.rate_queue import RateQueue
from netem.route import Route

CHUNK_BYTES = 16 * 1024
WINDOW_BYTES = 64 * 1024
RETRANSMISSION_TIMEOUT_NS = 200_000_000
MOST_LOSSES = 8

_Act = bytes | None  # a chunk, or the end of the direction


class Lane:
    """One ordered pair of hosts as their streams see it; all streams of the pair share it.

    Args:
        route: the pair's route, whose link says whether the direction is open and whose source has the uplink.
        uniforms: the run's block generator.
        clock: the run's clock.
        healed: where tasks park until some partition is healed.
    """

    def __init__(
        self, route: Route, *, uniforms: BlockUniforms, clock: Clock, healed: trio.lowlevel.ParkingLot
    ) -> None:
        config = route.link.config
        self._gate = route.link
        self._uplink = route.source.uplink
        self._rate = RateQueue(config.rate_bytes_per_s, config.queue_bytes)
        # Only the source's name differs from the datagrams' link: streams draw fates of their own.
        self._chance = Link(
            LinkConfig(config.impairments),
            source=f"{route.source.name} (tcp)",
            target=route.target.name,
            uniforms=uniforms,
            link_id=route.link_id,
        )
        self._clock = clock
        self._healed = healed

    def reconfigure(self, config: LinkConfig) -> None:
        """Follow a live change of the link."""
        self._chance.reconfigure(LinkConfig(config.impairments))
        self._rate.rate_bytes_per_s = config.rate_bytes_per_s
        self._rate.limit_bytes = config.queue_bytes

    async def depart(self, size_bytes: int) -> int:
        """Send a chunk and return when it arrives if no partition holds it (ns); wait while a queue is full.

        Raises:
            TimeoutError: it was lost too many times in a row.
        """
        departure_ns = -1
        while departure_ns < 0:
            departure_ns = self._uplink.admit(self._clock.now_ns(), size_bytes)
            if departure_ns >= 0:
                departure_ns = self._rate.admit(departure_ns, size_bytes)
            if departure_ns < 0:
                await trio.sleep(RETRANSMISSION_TIMEOUT_NS / 1e9)
        timeout_ns = RETRANSMISSION_TIMEOUT_NS
        for _ in range(MOST_LOSSES):
            arrival_ns = self._chance.verdict(departure_ns, size_bytes)
            if arrival_ns > 0:
                return arrival_ns
            departure_ns += timeout_ns
            timeout_ns *= 2
        raise TimeoutError(f"{MOST_LOSSES} transmissions in a row were lost")

    async def arrive(self, arrival_ns: int) -> None:
        """Wait until `arrival_ns`, and then until the direction is open."""
        if arrival_ns > self._clock.now_ns():
            arrived = trio.Event()
            self._clock.call_at(arrival_ns, arrived.set)
            await arrived.wait()
        while not self._gate.open:
            await self._healed.park()


class ShapedStream(trio.abc.HalfCloseableStream):
    """A stream over any other whose sending direction is a lane; what comes in was shaped by the sender.

    Args:
        transport: the stream below, which this one owns.
        lane: the direction in which this end sends.
        on_end: called when the transport is closed.

    Attributes:
        transport: the stream below.
        broken: True after a reset.

    `run` must run beside it for anything to be sent. Cancelling `send_all` leaves an unknown part sent, as with sockets.
    """

    def __init__(
        self, transport: trio.abc.HalfCloseableStream, lane: Lane, *, on_end: Callable[[ShapedStream], None]
    ) -> None:
        self.transport = transport
        self._lane = lane
        self._on_end = on_end
        self._to_writer, self._outgoing = trio.open_memory_channel[tuple[int, _Act]](math.inf)
        self._writing = trio.CancelScope()
        self._receiving = trio.CancelScope()
        self._room = trio.lowlevel.ParkingLot()
        self._in_flight_bytes = 0
        self._last_arrival_ns = 0
        self._sending = False
        self._closed = False
        self.broken = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; wait while 64 KiB are in flight.

        Raises:
            trio.BrokenResourceError: a reset, or the peer has closed.
            trio.ClosedResourceError: this end was closed.
            trio.BusyResourceError: another task is sending.
        """
        await self._send([bytes(data[start : start + CHUNK_BYTES]) for start in range(0, len(data), CHUNK_BYTES)])

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for more in flight."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        while self._in_flight_bytes >= WINDOW_BYTES:
            await self._room.park()
            self._check_open()

    async def send_eof(self) -> None:
        """End the sending direction after what was sent so far; raise as `send_all`."""
        await self._send([None])

    async def _send(self, acts: list[_Act]) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            self._check_open()
            for act in acts:
                await self._send_one(act)
        finally:
            self._sending = False

    async def _send_one(self, act: _Act) -> None:
        await self.wait_send_all_might_not_block()
        size_bytes = len(act or b"")
        try:
            arrival_ns = await self._lane.depart(size_bytes)
        except TimeoutError as error:
            self.reset()
            raise trio.BrokenResourceError(str(error)) from error
        self._check_open()
        self._last_arrival_ns = max(self._last_arrival_ns, arrival_ns)
        self._in_flight_bytes += size_bytes
        self._to_writer.send_nowait((self._last_arrival_ns, act))

    async def run(self) -> None:
        """Deliver what was sent, each chunk at its time, until the stream is closed or reset."""
        try:
            with self._writing:
                async for arrival_ns, act in self._outgoing:
                    await self._lane.arrive(arrival_ns)
                    await self._deliver(act)
                await self._lane.arrive(await self._lane.depart(0))  # the end travels like data
        except (trio.BrokenResourceError, trio.ClosedResourceError, TimeoutError):
            self.reset()
        finally:
            await self.abandon()

    async def _deliver(self, act: _Act) -> None:
        if act is None:
            await self.transport.send_eof()
            return
        await self.transport.send_all(act)
        self._in_flight_bytes -= len(act)
        self._room.unpark_all()

    async def abandon(self) -> None:
        """Close the transport at once; undelivered bytes are dropped. Idempotent."""
        self._outgoing.close()
        self._on_end(self)
        self._room.unpark_all()
        await trio.aclose_forcefully(self.transport)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return some bytes, none at the end of the peer's direction; raise as `send_all`."""
        self._check_open()
        with trio.CancelScope() as self._receiving:
            try:
                return await self.transport.receive_some(max_bytes)
            except trio.ClosedResourceError:
                pass  # a reset closed it under us
            except trio.BrokenResourceError:
                self.reset()
                raise
        self._check_open()
        raise trio.BrokenResourceError("the stream was reset")

    async def aclose(self) -> None:
        """Close; what was sent still arrives in its time, unless a crash comes first."""
        if not self._closed:
            self._closed = True
            self._receiving.cancel()
            self._room.unpark_all()
            self._to_writer.close()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Break the stream at once, as a crash of either host does."""
        self.broken = True
        self._receiving.cancel()
        self._room.unpark_all()
        self._writing.cancel()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end was closed")
        if self.broken:
            raise trio.BrokenResourceError("the stream was reset")
