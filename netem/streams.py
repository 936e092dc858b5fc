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

import contextlib
import math
from collections.abc import Callable

import trio

from netem.lane import Lane

CHUNK_BYTES = 16 * 1024
WINDOW_BYTES = 64 * 1024

_Act = bytes | None  # a chunk, or the end of the direction


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
        self._to_writer, self._outgoing = trio.open_memory_channel[_Act](math.inf)
        self._travelling = 0  # acts whose time has not come
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
        await self._wait_for_room()

    async def _wait_for_room(self) -> None:
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
        await self._wait_for_room()
        size_bytes = len(act or b"")
        try:
            arrival_ns = await self._lane.depart(size_bytes)
        except TimeoutError as error:
            self.reset()
            raise trio.BrokenResourceError(str(error)) from error
        self._check_open()
        self._last_arrival_ns = max(self._last_arrival_ns, arrival_ns)
        self._in_flight_bytes += size_bytes
        self._travelling += 1
        self._lane.call_at(self._last_arrival_ns, self._arrived, act)

    def _arrived(self, act: _Act) -> None:
        """Give the writer a chunk at its time, so that it wakes once per chunk; timers keep the chunks in order."""
        self._travelling -= 1
        with contextlib.suppress(trio.BrokenResourceError):  # the stream was abandoned meanwhile
            self._to_writer.send_nowait(act)
        self._end_when_all_arrived()

    def _end_when_all_arrived(self) -> None:
        if self._closed and not self._travelling:
            self._to_writer.close()

    async def run(self) -> None:
        """Deliver what was sent, each chunk at its time, until the stream is closed or reset."""
        try:
            with self._writing:
                async for act in self._outgoing:
                    await self._lane.opened()
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
            self._end_when_all_arrived()
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
