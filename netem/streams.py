"""trio: TCP streams that feel their link.

Bytes of a stream cannot be lost in user space: the kernel (or memory) under it is reliable. What a link does to TCP is
therefore emulated as time, per chunk of at most 16 KiB (a control message is one chunk):

- the sender's uplink and the link's rate (overhead and cells for every 1448 bytes) and slots serialise chunks; a full queue makes the
  sender try again after one retransmission timeout, and a limit in packets does not concern streams;
- each chunk is delayed by the link's impairments, drawn from uniforms of its own, and never overtakes another: one that reordering
  sends early arrives with the one before it, `ordered` changes nothing, and a duplicate goes unnoticed;
- a chunk that the link would lose or damage is held for one retransmission timeout (200 ms, doubled every further time); after 8
  losses in a row the stream breaks. Long transfers thus stall less often than real TCP, which draws per segment;
- a partition or a hold stalls the direction it is on until it ends; acknowledgements are not modelled;
- a crash of either host, or a reset, breaks both ends; half open, one end breaks and the other's bytes reach nobody;
- while a host is paused, its ends neither send nor receive.

At most 64 KiB of a direction are in flight; beyond, `send_all` waits.

Source: DESIGN section 3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from netem.lane import Lane, Window
from netem.transport import Transport

CHUNK_BYTES = 16 * 1024
_MOST_RECEIVED_BYTES = 64 * 1024

_Act = bytes | None  # a chunk, or the end of the direction


class ShapedStream(trio.abc.HalfCloseableStream):
    """A stream over any transport whose sending direction is a lane; what comes in was shaped by the sender.

    A chunk is handed over by the timer of its arrival. Only when it cannot be (a partition, a transport that is full) and to
    close is a task needed.

    Args:
        transport: what is below, which this one owns.
        lane: the direction in which this end sends.
        launch: called when `run` must run.
        on_end: called when the transport is closed.

    Attributes:
        transport: what is below.
        broken: True after a reset.

    Cancelling `send_all` leaves an unknown part sent, as with sockets.
    """

    def __init__(
        self,
        transport: Transport,
        lane: Lane,
        *,
        launch: Callable[[ShapedStream], None],
        on_end: Callable[[ShapedStream], None],
    ) -> None:
        self.transport = transport
        self._lane = lane
        self._launch = launch
        self._on_end = on_end
        self._arrived_acts: deque[_Act] = deque()  # those that `run` must hand over
        self._travelling = 0  # acts whose time has not come
        self._writing: trio.CancelScope | None = None  # of `run`, while it runs or is about to
        self._window = Window()
        self._last_arrival_ns = 0
        self._sending = False
        self._closed = False
        self._abandoned = False
        self._unheard = self._vanished = False
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
        await self._window.wait(self._check_open)

    async def send_eof(self) -> None:
        """End the sending direction after what was sent so far; raise as `send_all`."""
        await self._send([None])

    async def _send(self, acts: list[_Act]) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        self._sending = True
        try:
            # Sending is bounded by the window, so it need not let others run first.
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._lane.source.wait_awake()
            self._check_open()
            for act in acts:
                await self._send_one(act)
        finally:
            self._sending = False

    async def _send_one(self, act: _Act) -> None:
        await self._window.wait(self._check_open)
        size_bytes = len(act or b"")
        try:
            arrival_ns = await self._lane.depart(size_bytes)
        except TimeoutError as error:
            self.reset()
            raise trio.BrokenResourceError(str(error)) from error
        self._check_open()
        self._last_arrival_ns = max(self._last_arrival_ns, arrival_ns)
        self._window.take(size_bytes)
        self._travelling += 1
        self._lane.call_at(self._last_arrival_ns, self._arrived, act)

    def _arrived(self, act: _Act) -> None:
        """Hand over a chunk at its time; timers keep the chunks in order."""
        self._travelling -= 1
        if self._abandoned or self._unheard:
            self._close_when_all_arrived()
            return
        if self._writing is None and self._lane.is_open:
            act = self._hand_over(act)
            if act == b"":
                self._close_when_all_arrived()
                return
        self._arrived_acts.append(act)
        self._wake()

    def _hand_over(self, act: _Act) -> _Act:
        """Give the transport an act and return what it did not take: no bytes when all is done, or the stream reset."""
        if act is None:
            self.transport.end()
            return b""
        try:
            taken = self.transport.put(act)
        except trio.BrokenResourceError:
            self.reset()
            return b""
        self._window.give_back(taken)
        return act[taken:]

    def _close_when_all_arrived(self) -> None:
        if self._closed and not (self._travelling or self._abandoned or self._vanished):
            self._wake()

    def _wake(self) -> None:
        if self._writing is None:
            self._writing = trio.CancelScope()
            self._launch(self)

    async def run(self) -> None:
        """Hand over what a timer could not, and the end of a stream that was closed."""
        assert self._writing is not None
        try:
            with self._writing:
                await self._write()
                if self._closed and not self._travelling:
                    await self._lane.arrive(await self._lane.depart(0))  # the end travels like data
                    self.abandon()
        except (trio.ClosedResourceError, TimeoutError):
            self.reset()
        finally:
            self._writing = None

    async def _write(self) -> None:
        acts = self._arrived_acts
        while acts:
            await self._lane.opened()
            rest = self._hand_over(acts.popleft())
            if rest:
                acts.appendleft(rest)
                await self.transport.writable()

    def abandon(self) -> None:
        """Close the transport at once; undelivered bytes are dropped. Idempotent."""
        if not self._abandoned:
            self._abandoned = True
            self._arrived_acts.clear()
            self._on_end(self)
            self._window.wake()
            self.transport.close()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return some bytes, none at the end of the peer's direction; raise as `send_all`."""
        self._check_open()
        try:
            data = await self.transport.receive_some(_MOST_RECEIVED_BYTES if max_bytes is None else max_bytes)
        except trio.ClosedResourceError:  # a reset closed it under us
            data = b""
        except trio.BrokenResourceError:
            self.reset()
            raise
        await self._lane.source.wait_awake()
        if not data:
            self._check_open()
        return data

    async def aclose(self) -> None:
        """Close; what was sent still arrives in its time, unless a crash comes first."""
        if not self._closed:
            self._closed = True
            self.transport.interrupt()
            self._window.wake()
            self._close_when_all_arrived()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Break the stream at once, as a crash of either host does."""
        self.broken = True
        self.abandon()
        self._stop_writing()

    def vanish(self) -> None:
        """Break this end without a word to the other one, as a machine without power does; its transport stays until `abandon`."""
        self.broken = self._unheard = self._vanished = True
        self._arrived_acts.clear()
        self.transport.interrupt()
        self._window.wake()
        self._stop_writing()

    def speak_to_nobody(self) -> None:
        """Lose what this end sends from now on: after 64 KiB without an acknowledgement it waits for ever, or until it closes."""
        self._unheard = True
        self._arrived_acts.clear()

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end was closed")
        if self.broken:
            raise trio.BrokenResourceError("the stream was reset")
