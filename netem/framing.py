"""Pure: length-prefixed frames on a byte stream, without input or output.

A frame is its length in 4 bytes, most significant first, and then its bytes. The length is checked before anything is kept.

Source: DESIGN section 4.
"""

from __future__ import annotations

from netem.errors import BadFrame, LocalProtocolError

MAX_FRAME_BYTES = 2**20
LENGTH_BYTES = 4


def frame(data: bytes) -> bytes:
    """Return the stream bytes of one frame; raise `LocalProtocolError` above `MAX_FRAME_BYTES`."""
    if len(data) > MAX_FRAME_BYTES:
        raise LocalProtocolError(f"a frame of {len(data)} bytes, at most {MAX_FRAME_BYTES}")
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


class FrameReader:
    """Cut a byte stream back into frames, however it was cut up on the way.

    Attributes:
        limit_bytes: the largest frame taken from now on; a conversation may begin with a small limit.

    Invariant: it keeps less than `LENGTH_BYTES` + `limit_bytes` bytes between calls.
    """

    __slots__ = ("_buffer", "limit_bytes")

    def __init__(self, limit_bytes: int = MAX_FRAME_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._buffer = bytearray()

    @property
    def kept_bytes(self) -> int:
        """Return how many bytes of a frame that has begun are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream (at most a receive buffer) and return the frames that are now whole, in order.

        Raises:
            BadFrame: `oversized`: a frame announces more than the limit. There is no way back into step with such a
                stream: close it. Whole frames before it in the same call are lost with it.
        """
        self._buffer += data
        whole: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= LENGTH_BYTES:
            body = start + LENGTH_BYTES
            size_bytes = int.from_bytes(self._buffer[start:body], "big")
            if size_bytes > self.limit_bytes:
                raise BadFrame("oversized", f"a frame of {size_bytes} bytes announced, at most {self.limit_bytes}")
            if len(self._buffer) - body < size_bytes:
                break
            start = body + size_bytes
            whole.append(bytes(self._buffer[body:start]))
        del self._buffer[:start]
        return whole
