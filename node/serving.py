"""Pure: the upload side: which block of which download leaves next, and when.

Every file has its own reserved rate b_ij and its own queue. Downloads are served whole, the oldest first (the paper's pooled
service); one that asks for nothing at present does not hold up the next. The driver sleeps until `next_ns()`, takes
`due(now_ns)`, which says when to come again, and sends it: one timer per active file, O(1) per block.

Source: Huberman and Wu, the bids b_ij and the pooled service; DESIGN section 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from node.content import BLOCKS_PER_PIECE
from tracker.messages import BLOCK_BYTES

Run = tuple[int, int, int]
NS_PER_S = 1_000_000_000
LONGEST_NS = 2**62
MOST_LOOKED_AT = 512  # blocks of one request: it must not cost more time than a full window is worth
LONG_WAIT_NS = 200_000_000  # a wait worth telling the downloader about


@dataclass(slots=True, kw_only=True, eq=False)
class Asked:
    """What one download asks of its file's queue; a driver's subclass says what else it knows of the download.

    Attributes:
        download: its id.
        pending: the blocks it waits for, piece * 256 + block, in the order they were asked. Only the queue changes them.
        place: its place in line, as it last gave it.
        queued: whether it is in line.
    """

    download: bytes
    pending: dict[int, None] = field(default_factory=dict)
    place: int = 0
    queued: bool = False


A = TypeVar("A", bound=Asked)


class Room:
    """How many blocks all queues of a server may hold together.

    Attributes:
        pending: blocks queued now, never more than `most`.
    """

    __slots__ = ("most", "pending")

    def __init__(self, most: int = 65_536) -> None:
        self.most = most
        self.pending = 0


class FileQueue(Generic[A]):
    """Queue the asked blocks of one file and pace them at its reserved rate; 0 until `set_rate` says otherwise.

    Args:
        size_bytes: the file's size.
        room: what all queues share.
        overhead_bytes: what the wire adds to a block (headers and tag); it counts against the rate.
        most_of_one: blocks that one download may have queued.

    Invariants: every download with pending blocks is in line, once; over any time at a constant rate at most
    rate * time plus two blocks are sent.
    """

    __slots__ = (
        "_first",
        "_idle_until_ns",
        "_last_ns",
        "_line",
        "_most_of_one",
        "_n_blocks",
        "_next",
        "_room",
        "_spacing_ns",
        "_wire_bytes",
    )

    def __init__(self, size_bytes: int, room: Room, *, overhead_bytes: int = 0, most_of_one: int = 512) -> None:
        self._n_blocks = -(-size_bytes // BLOCK_BYTES)
        self._room = room
        self._wire_bytes = BLOCK_BYTES + overhead_bytes  # of a short last block too: the difference is small
        self._most_of_one = most_of_one
        # Heap of (place, download, which of two with one id, the same); some wait for nothing by now.
        self._line: list[tuple[int, bytes, int, A]] = []
        self._next = itertools.count().__next__
        self._first: A | None = None  # the oldest download; None, or without pending blocks: look it up
        self._idle_until_ns = 0
        self._last_ns = -LONGEST_NS  # when the last block left
        self._spacing_ns = 0  # a block's share of the rate; 0 while the rate is 0

    def set_rate(self, bid_bytes_per_s: float) -> None:
        """Reserve the rate b_ij (wire bytes/s) from now on."""
        self._spacing_ns = 0
        if bid_bytes_per_s > 0.0:
            self._spacing_ns = max(1, int(min(self._wire_bytes * NS_PER_S / bid_bytes_per_s, LONGEST_NS)))

    def enqueue(self, asked: A, runs: Iterable[Run], *, place: int, now_ns: int) -> None:
        """Queue runs (piece, first block, count) of a download.

        Downloads with a lower `place` go first; when it is the time that the download was opened, all servers of a file pool
        on the same one. The place of the newest request counts. Blocks already queued are not queued twice; blocks
        outside the file or over a bound are dropped.
        """
        if self._find_first() is None:
            self._idle_until_ns = now_ns
        if asked.place != place:
            self._leave(asked)
            asked.place = place
        left = MOST_LOOKED_AT
        for run in runs:
            if left <= 0:
                break
            left -= run[2]
            self._add(asked, run)
        if asked.pending and not asked.queued:
            asked.queued = True
            heappush(self._line, (place, asked.download, self._next(), asked))
            self._first = None  # it may be older

    def _add(self, asked: A, run: Run) -> None:
        piece, first, count = run
        start = piece * BLOCKS_PER_PIECE + first
        if count < 1 or not 0 <= first <= BLOCKS_PER_PIECE - count or not 0 <= start <= self._n_blocks - count:
            return
        pending, room = asked.pending, self._room
        before = len(pending)
        allowed = min(self._most_of_one - before, room.most - room.pending)
        pending.update(dict.fromkeys(range(start, start + count)))
        for _ in range(allowed, len(pending) - before):
            pending.popitem()  # the last that came
        room.pending += len(pending) - before

    def wait_ns(self, asked: A) -> int:
        """Return how long what is queued of older downloads will take before this one's turn, in ns up to 2**62; 0 when it is next."""
        if not self._spacing_ns or self._find_first() is asked:
            return 0
        ahead = sum([len(other.pending) for place, _, _, other in self._line if place < asked.place])
        # Next to nothing may be reserved, and the answer must fit a frame.
        return min(ahead * self._spacing_ns, LONGEST_NS)

    def next_ns(self) -> int | None:
        """Return when the next block may leave, possibly in the past; None if nothing is queued or the rate is 0."""
        if not self._spacing_ns or self._find_first() is None:
            return None
        return max(self._idle_until_ns, self._last_ns + self._spacing_ns)

    def due(self, now_ns: int) -> tuple[A, int, int, int | None] | None:
        """Take the (download, piece, block) to send now, and say when the next may leave (None if there is none).

        Returns None if it is too early, nothing is queued or the rate is 0. Idle time earns no credit, and a late driver
        catches up by one block at most.
        """
        asked, spacing_ns = self._first, self._spacing_ns
        if asked is None or not asked.pending:
            asked = self._find_first()
        free_ns = max(self._idle_until_ns, self._last_ns + spacing_ns)
        if asked is None or not spacing_ns or now_ns < free_ns:
            return None
        pending = asked.pending
        key = next(iter(pending))
        del pending[key]
        self._room.pending -= 1
        self._last_ns = last_ns = max(free_ns, now_ns - spacing_ns)
        left = pending or self._find_first() is not None
        return asked, key // BLOCKS_PER_PIECE, key % BLOCKS_PER_PIECE, last_ns + spacing_ns if left else None

    def forget(self, asked: A) -> None:
        """Drop what is queued for a download (closed, expired); it may ask again."""
        self._room.pending -= len(asked.pending)
        asked.pending.clear()

    def close(self) -> None:
        """Drop all that is queued: the file is served no more."""
        for *_, asked in self._line:
            self.forget(asked)
            asked.queued = False
        self._line.clear()

    def _leave(self, asked: A) -> None:
        if asked.queued:
            asked.queued = False
            self._line = [entry for entry in self._line if entry[-1] is not asked]
            heapify(self._line)
            self._first = None

    def _find_first(self) -> A | None:
        """Return the oldest download with pending blocks."""
        first = self._first
        if first is not None and first.pending:
            return first
        line = self._line
        while line and not line[0][-1].pending:
            heappop(line)[-1].queued = False
        self._first = line[0][-1] if line else None
        return self._first
