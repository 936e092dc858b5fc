"""Pure: blocks as datagrams, the bulk of all traffic: no header but a place, and a tag under the session's key.

A block is `1 | flow (8) | piece (u32) | block (u16) | data (1 .. 1024) | BLAKE2b tag (12)`, numbers most significant byte first;
all other datagrams are control frames (`tracker/wire.py`). Hostile bytes raise `BadFrame` and nothing else; its kinds here:
`malformed`, `oversized`, `forged`.

Source: DESIGN section 4.
"""

from __future__ import annotations

import hashlib
import struct
from hmac import compare_digest
from typing import Final

from netem.errors import BadFrame
from tracker.messages import BLOCK_BYTES
from tracker.wire import NETEM_HEADER_BYTES

_KIND: Final = 1
BLOCK_BYTE: Final = bytes([_KIND])
"""What the datagram of a block begins with."""
BLOCK_TAG_BYTES: Final = 12
FLOW_BYTES: Final = 8
_FRAME_BYTES: Final = 1 + FLOW_BYTES + 4 + 2 + BLOCK_TAG_BYTES
BLOCK_OVERHEAD_BYTES: Final = _FRAME_BYTES + NETEM_HEADER_BYTES
"""What access links carry of a block besides its data."""
BLOCK_SIZES: Final = range(_FRAME_BYTES + 1, _FRAME_BYTES + BLOCK_BYTES + 1)
"""How long the datagram of a block may be."""
BLOCK_FLOW: Final = slice(1, 1 + FLOW_BYTES)
"""Where a block's flow id is."""
_HEADER: Final = struct.Struct(">B8sIH")
_PLACE: Final = struct.Struct(">IH")
_PERSON: Final = b"swarmbed-block/1"


def flow_id(download: bytes, server: bytes) -> bytes:
    """Return the 8 bytes that name the blocks of one download (16 bytes) from one server (8 bytes)."""
    return hashlib.blake2b(download + server, digest_size=FLOW_BYTES, person=b"swarmbed-flow").digest()


def block_digest(key: bytes) -> hashlib.blake2b:
    """Return the digest of nothing under a 32-byte session key, of which every block's tag begins as a copy.

    Taking in key and purpose anew for each block would take longer.
    """
    return hashlib.blake2b(digest_size=BLOCK_TAG_BYTES, key=key, person=_PERSON)


def encode_block(session: hashlib.blake2b, flow: bytes, data: bytes, *, piece: int, block: int) -> bytes:
    """Return the datagram of one block: `data` (1 .. 1024 bytes) of a piece, tagged under a session's `block_digest`.

    A repeated block does no harm, so blocks carry no sequence number.
    """
    frame = _HEADER.pack(_KIND, flow, piece, block) + data
    digest = session.copy()
    digest.update(frame)
    return frame + digest.digest()


def block_flow(datagram: bytes) -> bytes:
    """Return a block's flow id, by which the receiver finds the key; raise `BadFrame` (`malformed`, `oversized`)."""
    size_bytes = len(datagram)
    if size_bytes < BLOCK_SIZES.start or datagram[0] != _KIND:
        raise BadFrame("malformed", "no block")
    if size_bytes not in BLOCK_SIZES:
        raise BadFrame("oversized", f"a block datagram of {size_bytes} bytes")
    return datagram[BLOCK_FLOW]


def open_block(datagram: bytes, session: hashlib.blake2b) -> tuple[int, int, bytes]:
    """Return (piece, block, data) of a datagram whose `block_flow` was read, tagged under a session's `block_digest`.

    Raises:
        BadFrame: `forged`: the tag is wrong, which is line noise and nobody's fault.
    """
    frame = datagram[:-BLOCK_TAG_BYTES]
    digest = session.copy()
    digest.update(frame)
    if not compare_digest(digest.digest(), datagram[-BLOCK_TAG_BYTES:]):
        raise BadFrame("forged", "tag of a block")
    piece, block = _PLACE.unpack_from(frame, 1 + FLOW_BYTES)
    return piece, block, frame[_HEADER.size :]
