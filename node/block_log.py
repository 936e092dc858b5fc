"""trio: blocks of unfinished pieces on disk, so that a killed download goes on where it was; blocking calls made inline.

They are appended, a few at a time, to a file beside the partial one, each with its place and who sent it. So every record has
its block: a torn one at the end is ignored. No piece counts before its hash was checked, and nobody is blamed for one that has
such blocks.

Source: DESIGN section 4.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from node.content import BLOCKS_PER_PIECE
from node.descriptors import Descriptors
from tracker.messages import BLOCK_BYTES

Blocks = dict[int, tuple[bytes, bytes]]
"""By block of one piece: its sender and its bytes."""

MOST_WAITING = 64
_RECORD = struct.Struct(">I8sH")  # piece * BLOCKS_PER_PIECE + block, the sender's id, the bytes that follow


class BlockLog:
    """The blocks of one partial file's unfinished pieces.

    Args:
        part: the partial file, of `size_bytes`.
        descriptors: keeps it open: opening it for every few blocks would cost as much as writing them.
    """

    def __init__(self, part: Path, *, size_bytes: int, descriptors: Descriptors) -> None:
        self._path = str(part.with_suffix(".blocks"))
        self._descriptors = descriptors
        self._size_bytes = size_bytes
        self._most_waiting = min(MOST_WAITING, size_bytes // BLOCK_BYTES // 100)
        self._waiting: list[bytes] = []  # records not yet written, each in two parts: joined at last, to copy once
        self._written_bytes = 0

    def keep(self, key: int, sender: bytes, data: bytes) -> None:
        """Keep the block at `key`, piece * BLOCKS_PER_PIECE + block; raises `OSError` as `flush` does.

        At most 1 % of the file's blocks, and at most `MOST_WAITING`, wait to be written together.
        """
        self._waiting += (_RECORD.pack(key, sender, len(data)), data)
        if len(self._waiting) > 2 * self._most_waiting:
            self.flush()

    def flush(self) -> None:
        """Write what waits; raises `OSError` when the disk is full or gone, and then it waits no more."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        records = b"".join(waiting)
        log = self._descriptors.get(self._path, os.O_WRONLY | os.O_CREAT)
        at = self._written_bytes
        while records:
            written = os.pwrite(log, records, at)
            records, at = records[written:], at + written
        self._written_bytes = at

    def close(self) -> None:
        """Close the file until something is written again."""
        self._descriptors.close(self._path)

    def forget(self, piece: int) -> None:
        """Write nothing more of a piece: it is finished, and what waits may be of a try that failed."""
        records = zip(self._waiting[::2], self._waiting[1::2], strict=True)
        kept = [record for record in records if _RECORD.unpack(record[0])[0] // BLOCKS_PER_PIECE != piece]
        self._waiting = [part for record in kept for part in record]

    def read(self, *, finished: set[int]) -> dict[int, Blocks]:
        """Return what earlier boots kept of the pieces that are not `finished`, by piece and block.

        Raises:
            OSError: the file cannot be read.
        """
        found: dict[int, Blocks] = {}
        path = Path(self._path)
        data = path.read_bytes() if path.exists() else b""
        self._written_bytes = 0
        while self._written_bytes + _RECORD.size <= len(data):
            key, sender, size_bytes = _RECORD.unpack_from(data, self._written_bytes)
            start = self._written_bytes + _RECORD.size
            if not 0 < size_bytes <= BLOCK_BYTES or start + size_bytes > len(data):
                break  # torn: the next record goes here
            self._written_bytes = start + size_bytes
            piece, block = divmod(key, BLOCKS_PER_PIECE)
            if piece not in finished and key * BLOCK_BYTES < self._size_bytes:
                found.setdefault(piece, {})[block] = (sender, data[start : self._written_bytes])
        return found

    def remove(self) -> None:
        """Forget all: the file is whole, or fresh; raises `OSError` when it cannot be deleted."""
        self._waiting.clear()
        self.close()
        Path(self._path).unlink(missing_ok=True)
