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


class MemoryStream:
    """One end of a stream (a `Transport`); `stream_pair` makes both."""

    __slots__ = ("_incoming", "_interrupted", "_outgoing")

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._interrupted = False

    def put(self, data: bytes) -> int:
        """Hand bytes to the other end (see `Transport.put`)."""
        pipe = self._outgoing
        if pipe.ended or pipe.refused:
            raise trio.BrokenResourceError("an end was closed")
        pipe.data += data
        pipe.arrival.unpark_all()
        return len(data)

    async def writable(self) -> None:
        """Return: there is always room."""
        await trio.lowlevel.checkpoint()

    def end(self) -> None:
        """End the sending direction. Idempotent."""
        self._outgoing.end()

    def interrupt(self) -> None:
        """Let a receive that waits return nothing (see `Transport.interrupt`)."""
        self._interrupted = True
        self._incoming.arrival.unpark_all()

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes (see `Transport.receive_some`)."""
        pipe = self._incoming
        if pipe.data or pipe.ended or pipe.refused:
            await trio.lowlevel.checkpoint()
        else:
            await pipe.arrival.park()
        if pipe.refused:
            raise trio.ClosedResourceError("this end was closed")
        if self._interrupted:
            return b""
        data = bytes(pipe.data[:max_bytes])
        del pipe.data[:max_bytes]
        return data

    def close(self) -> None:
        """Close both directions; what was sent can still be received. Idempotent."""
        self._outgoing.end()
        self._incoming.refused = True
        self._incoming.data.clear()
        self._incoming.arrival.unpark_all()


def stream_pair() -> tuple[MemoryStream, MemoryStream]:
    """Return two connected ends."""
    there, back = _Pipe(), _Pipe()
    return MemoryStream(back, there), MemoryStream(there, back)
