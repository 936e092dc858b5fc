"""Pure: what messages are made of: the fields' types with their ranges, and the base of all bodies.

Units: `_credits` are integer micro-credits, `_bytes_per_s` bytes per second, `_ns` Unix nanoseconds, shares in [0, 1].
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

PIECE_BYTES = 256 * 1024
BLOCK_BYTES = 1024
MAX_FILES = 65_536
EVERYBODY = bytes(8)  # the `to` of a frame that is for whoever gets it

NodeId = Annotated[bytes, Meta(min_length=8, max_length=8)]
DownloadId = Annotated[bytes, Meta(min_length=16, max_length=16)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
FileIndex = Annotated[int, Meta(ge=0, lt=MAX_FILES)]
PieceIndex = Annotated[int, Meta(ge=0, lt=2**24)]
Run = tuple[PieceIndex, Annotated[int, Meta(ge=0, lt=256)], Annotated[int, Meta(ge=1, le=256)]]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Credits = Annotated[int, Meta(ge=0, lt=2**53)]
Bytes = Annotated[int, Meta(ge=0, lt=2**53)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Text = Annotated[str, Meta(max_length=1_024)]
Reason = Annotated[str, Meta(max_length=64)]
HostName = Annotated[str, Meta(max_length=255)]  # the longest that DNS knows


class Message(msgspec.Struct, frozen=True, array_like=True):
    """Base of all message bodies."""
