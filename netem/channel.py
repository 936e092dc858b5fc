"""trio: whole frames over a byte stream, for both ends of every TCP conversation."""

from __future__ import annotations

import math
from collections import deque

import trio

from netem.errors import RemoteProtocolError
from netem.framing import MAX_FRAME_BYTES, FrameReader, frame

_CHUNK_BYTES = 64 * 1024


class FrameChannel:
    """Send and receive length-prefixed frames over a stream that the channel then owns.

    Both directions may be used at once by different tasks, but each by one task at a time.

    Args:
        frame_s: how long a frame may take from its first byte to its last.
        limit_bytes: the largest frame taken at first; `admit` raises it to the largest there is.
    """

    def __init__(
        self, stream: trio.abc.Stream, *, frame_s: float = math.inf, limit_bytes: int = MAX_FRAME_BYTES
    ) -> None:
        self._stream = stream
        self._frame_s = frame_s
        self._begun_s = math.inf  # when the frame that is coming in began
        self._reader = FrameReader(limit_bytes)
        self._ready: deque[bytes] = deque()

    @property
    def kept_bytes(self) -> int:
        """Return how many bytes wait in this channel for their frame to be whole, or taken."""
        return self._reader.kept_bytes + sum(map(len, self._ready))

    def admit(self) -> None:
        """Take frames of any allowed size from now on."""
        self._reader.limit_bytes = MAX_FRAME_BYTES

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
            RemoteProtocolError: `too-slow`: a frame took longer than it may.
            trio.BrokenResourceError: the stream is gone.
        """
        while not self._ready:
            chunk = await self._next_chunk()
            if not chunk:
                return None
            whole = self._reader.feed(bytes(chunk))
            if not self._reader.kept_bytes:
                self._begun_s = math.inf
            elif whole or self._begun_s == math.inf:
                self._begun_s = trio.current_time()
            self._ready.extend(whole)
        return self._ready.popleft()

    async def _next_chunk(self) -> bytes | bytearray:
        if (
            self._begun_s + self._frame_s == math.inf
        ):  # as long as it takes; a cancel scope would be felt by every frame
            return await self._stream.receive_some(_CHUNK_BYTES)
        with trio.move_on_at(self._begun_s + self._frame_s):
            return await self._stream.receive_some(_CHUNK_BYTES)
        raise RemoteProtocolError("too-slow", f"a frame took more than {self._frame_s:g} s")

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
