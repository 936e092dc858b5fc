"""trio: whole frames over a byte stream, for both ends of every TCP conversation."""

from __future__ import annotations

from collections import deque

import trio

from netem.framing import FrameReader, frame

_CHUNK_BYTES = 64 * 1024


class FrameChannel:
    """Send and receive length-prefixed frames over a stream that the channel then owns.

    Both directions may be used at once by different tasks, but each by one task at a time.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._reader = FrameReader()
        self._ready: deque[bytes] = deque()

    async def send(self, data: bytes) -> None:
        """Send one frame.

        Raises:
            trio.BrokenResourceError: the stream is gone; the frame may or may not have arrived.
        """
        await self._stream.send_all(frame(data))

    async def receive(self) -> bytes | None:
        """Wait for the next frame; None when the other side has closed.

        Raises:
            BadFrame: the peer announced an oversized frame; the channel is of no further use.
            trio.BrokenResourceError: the stream is gone.
        """
        while not self._ready:
            chunk = await self._stream.receive_some(_CHUNK_BYTES)
            if not chunk:
                return None
            self._ready.extend(self._reader.feed(bytes(chunk)))
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
