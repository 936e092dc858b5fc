"""trio: two ends of a byte stream in memory, of any length; the fate of its bytes is decided above it."""

from __future__ import annotations

import trio


class _Pipe:
    """One direction: bytes that wait for the receiving end."""

    __slots__ = ("arrival", "data", "ended", "refused")

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False  # nothing more will be sent
        self.refused = False  # nobody will receive any more
        self.arrival = trio.lowlevel.ParkingLot()

    def end(self) -> None:
        self.ended = True
        self.arrival.unpark_all()


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a stream; `stream_pair` makes both.

    Sending does not yield: unlike trio's own memory streams, which do so several times per call, this one is fed by a
    writer that has just waited for the bytes' time.
    """

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes to the other end.

        Raises:
            trio.ClosedResourceError: this end was closed, or has sent its end.
            trio.BrokenResourceError: the other end was closed.
        """
        pipe = self._outgoing
        if pipe.ended:
            raise trio.ClosedResourceError("this end sends no more")
        if pipe.refused:
            raise trio.BrokenResourceError("the other end was closed")
        pipe.data += data
        pipe.arrival.unpark_all()

    async def wait_send_all_might_not_block(self) -> None:
        """Return: there is always room."""
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """End the sending direction. Idempotent."""
        self._outgoing.end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes and return at most `max_bytes` of them; none once the other end has ended its direction.

        Raises:
            trio.ClosedResourceError: this end was closed.
        """
        pipe = self._incoming
        if pipe.data or pipe.ended or pipe.refused:
            await trio.lowlevel.checkpoint()
        else:
            await pipe.arrival.park()
        if pipe.refused:
            raise trio.ClosedResourceError("this end was closed")
        data = bytes(pipe.data[:max_bytes])
        del pipe.data[:max_bytes]
        return data

    async def aclose(self) -> None:
        """Close both directions; what was sent can still be received. Idempotent."""
        self._outgoing.end()
        self._incoming.refused = True
        self._incoming.data.clear()
        self._incoming.arrival.unpark_all()
        await trio.lowlevel.checkpoint()


def stream_pair() -> tuple[MemoryStream, MemoryStream]:
    """Return two connected ends."""
    there, back = _Pipe(), _Pipe()
    return MemoryStream(back, there), MemoryStream(there, back)
