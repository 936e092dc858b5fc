"""trio: blocks of unfinished pieces on disk, so that a killed download goes on where it was; blocking calls made inline.

Blocks are written at their places in the partial file a few at a time, and after them, to a file beside it, one record each:
which block, and who sent it. So every record has its block, unless the machine itself failed: no piece counts before its
hash was checked, and nobody is blamed for one that has such blocks.

Source: DESIGN section 4.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from node.content import BLOCKS_PER_PIECE
from tracker.messages import BLOCK_BYTES

Blocks = dict[int, tuple[bytes, bytes]]
"""By block of one piece: its sender and its bytes."""

MOST_WAITING = 64
_RECORD = struct.Struct(">I8s")  # piece * BLOCKS_PER_PIECE + block, and the sender's id
_WRITE = os.O_WRONLY | os.O_CLOEXEC


class BlockLog:
    """The blocks of one partial file's unfinished pieces.

    Args:
        part: the partial file, of `size_bytes`.

    Invariant: fewer than 1 % of the file's blocks, and than `MOST_WAITING`, wait to be written.
    """

    def __init__(self, part: Path, *, size_bytes: int) -> None:
        self._part = part
        self._records = part.with_suffix(".blocks")
        self._size_bytes = size_bytes
        self._most_waiting = min(MOST_WAITING, max(1, size_bytes // BLOCK_BYTES // 100))
        self._waiting: list[tuple[int, bytes, bytes]] = []
        self._recorded_bytes = 0

    def add(self, piece: int, block: int, *, data: bytes, sender: bytes) -> None:
        """Keep a block of an unfinished piece; raises `OSError` when the disk is full or gone."""
        waiting = self._waiting
        waiting.append((piece * BLOCKS_PER_PIECE + block, sender, data))
        if len(waiting) >= self._most_waiting:
            self.flush()

    def flush(self) -> None:
        """Write what waits; raises `OSError` when the disk is full or gone, and then it waits no more."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        waiting.sort()
        part = os.open(self._part, _WRITE)
        try:
            start = 0
            for end in range(1, len(waiting) + 1):
                if end == len(waiting) or waiting[end][0] != waiting[end - 1][0] + 1:
                    run = b"".join([data for _, _, data in waiting[start:end]])
                    _write_all(part, run, at=waiting[start][0] * BLOCK_BYTES)
                    start = end
        finally:
            os.close(part)
        records = os.open(self._records, _WRITE | os.O_CREAT)
        try:
            told = b"".join([_RECORD.pack(key, sender) for key, sender, _ in waiting])
            _write_all(records, told, at=self._recorded_bytes)
        finally:
            os.close(records)
        self._recorded_bytes += len(told)

    def forget(self, piece: int) -> None:
        """Write nothing more of a piece: it is finished, and what waits may be of a try that failed."""
        self._waiting = [kept for kept in self._waiting if kept[0] // BLOCKS_PER_PIECE != piece]

    def read(self, *, finished: set[int]) -> dict[int, Blocks]:
        """Return what earlier boots kept of the pieces that are not `finished`, by piece and block.

        Raises:
            OSError: the files cannot be read.
        """
        found: dict[int, Blocks] = {}
        if not self._records.exists():
            return found
        data = self._records.read_bytes()
        self._recorded_bytes = len(data) - len(data) % _RECORD.size  # the last may be half written
        records = dict(_RECORD.iter_unpack(data[: self._recorded_bytes]))
        with self._part.open("rb") as part:
            for key, sender in sorted(records.items()):
                piece, block = divmod(key, BLOCKS_PER_PIECE)
                if piece not in finished and key * BLOCK_BYTES < self._size_bytes:
                    part.seek(key * BLOCK_BYTES)
                    found.setdefault(piece, {})[block] = (sender, part.read(BLOCK_BYTES))
        return found

    def remove(self) -> None:
        """Forget all: the file is whole, or fresh; raises `OSError` when it cannot be deleted."""
        self._waiting.clear()
        self._records.unlink(missing_ok=True)


def _write_all(descriptor: int, data: bytes, *, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
