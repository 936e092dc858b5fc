"""Pure: the upload side: which block of which download leaves next, and when.

Every file has its own reserved rate b_ij and its own queue. Downloads are served whole, the oldest first (the paper's pooled
service); one that asks for nothing at present does not hold up the next. The driver sleeps until `next_ns(file)`, takes
`due(file, now_ns)`, which says when to come again, and sends it: one timer per active file, O(1) per block.

Source: Huberman and Wu, the bids b_ij and the pooled service; DESIGN section 4.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

from node.content import BLOCKS_PER_PIECE, block_count
from tracker.messages import BLOCK_BYTES

Run = tuple[int, int, int]
Due = tuple[bytes, int, int, int | None]
NS_PER_S = 1_000_000_000
LONGEST_NS = 2**62
MOST_LOOKED_AT = 512  # blocks of one request: it must not cost more time than a full window is worth
LONG_WAIT_NS = 200_000_000  # a wait worth telling the downloader about


class _Download:
    """The blocks that one download waits for, in the order they were asked."""

    __slots__ = ("download", "order", "pending", "queued")

    def __init__(self, download: bytes, order: int) -> None:
        self.download = download
        self.order = order
        self.pending: OrderedDict[int, None] = OrderedDict()  # piece * 256 + block
        self.queued = False  # whether it is in its file's heap


class _File:
    """One served file: its rate, its downloads and when the last block left."""

    __slots__ = ("downloads", "first", "idle_until_ns", "last_ns", "size_bytes", "spacing_ns", "waiting")

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.downloads: dict[bytes, _Download] = {}
        self.waiting: list[tuple[int, bytes]] = []  # heap of (order, download) with pending blocks; forgotten ones too
        self.first: _Download | None = None  # the oldest download; None, or without pending blocks: look it up
        self.idle_until_ns = 0
        self.last_ns = -LONGEST_NS
        self.spacing_ns = 0  # a block's share of the rate; 0 while the rate is 0

    def find_first(self) -> _Download | None:
        """Look up the oldest download with pending blocks."""
        waiting = self.waiting
        while waiting:
            order, download = waiting[0]
            entry = self.downloads.get(download)
            if entry is not None and entry.order == order:
                if entry.pending:
                    self.first = entry
                    return entry
                entry.queued = False
            heappop(waiting)
        self.first = None
        return None


class UploadQueues:
    """Queue asked blocks and pace them at the reserved rates.

    Args:
        overhead_bytes: what the wire adds to a block (headers and tag); it counts against the rate.
        max_pending_per_download: blocks one download may have queued.
        max_pending: blocks queued in all.

    Attributes:
        pending: blocks queued now.
        dropped: counters by kind: `not-offered`, `out-of-range`, `full`.
        repeated: blocks asked again while still queued (queued once).

    Invariants: `pending` equals the sum over downloads and never exceeds `max_pending`; over any time at a constant rate
    a file sends at most rate * time plus two blocks.
    """

    def __init__(
        self, *, overhead_bytes: int = 0, max_pending_per_download: int = 512, max_pending: int = 65_536
    ) -> None:
        self._wire_bytes = BLOCK_BYTES + overhead_bytes  # of a short last block too: the difference is small
        self._max_pending_per_download = max_pending_per_download
        self._max_pending = max_pending
        self._files: dict[int, _File] = {}
        self.pending = 0
        self.dropped: Counter[str] = Counter()
        self.repeated = 0

    def offer(self, file: int, size_bytes: int) -> None:
        """Start to serve a file of `size_bytes`; at rate 0 until `set_rates` says otherwise. Idempotent."""
        self._files.setdefault(file, _File(size_bytes))

    def withdraw(self, file: int) -> None:
        """Stop serving a file and drop what is queued of it. Idempotent."""
        state = self._files.pop(file, None)
        if state is not None:
            self.pending -= sum(len(entry.pending) for entry in state.downloads.values())

    def set_rates(self, bids_bytes_per_s: Mapping[int, float]) -> None:
        """Reserve the rates b_ij (wire bytes/s) from now on; a file not named gets 0. Files not offered are ignored."""
        for file, state in self._files.items():
            rate_bytes_per_s = bids_bytes_per_s.get(file, 0.0)
            if rate_bytes_per_s > 0.0:
                state.spacing_ns = max(1, int(min(self._wire_bytes * NS_PER_S / rate_bytes_per_s, LONGEST_NS)))
            else:
                state.spacing_ns = 0

    def enqueue(self, file: int, download: bytes, runs: Iterable[Run], *, place: int, now_ns: int) -> int:
        """Queue runs (piece, first block, count) of a download and return how many blocks were new.

        Downloads with a lower `place` go first; when it is the time that the download was opened, all servers of a file pool
        on the same one. The place of the newest request counts. Blocks already queued are not queued twice; blocks
        outside the file or over a bound are dropped and counted.
        """
        state = self._files.get(file)
        if state is None:
            self.dropped["not-offered"] += 1
            return 0
        entry = state.downloads.get(download)
        if entry is None:
            entry = state.downloads[download] = _Download(download, place)
        if entry.order != place:
            entry.order, entry.queued = place, False
        if state.find_first() is None:
            state.idle_until_ns = now_ns
        before = len(entry.pending)
        left = MOST_LOOKED_AT
        for run in runs:
            if left <= 0:
                self.dropped["full"] += 1
                break
            left -= run[2]
            self._add(state, entry, run)
        if entry.pending and not entry.queued:
            entry.queued = True
            heappush(state.waiting, (entry.order, download))
            state.first = None  # it may be older
        return len(entry.pending) - before

    def _add(self, state: _File, entry: _Download, run: Run) -> None:
        piece, first, count = run
        if first < 0 or count < 1 or first + count > block_count(state.size_bytes, piece):
            self.dropped["out-of-range"] += 1
            return
        start = piece * BLOCKS_PER_PIECE + first
        pending = entry.pending
        fresh = [key for key in range(start, start + count) if key not in pending]
        room = min(self._max_pending_per_download - len(pending), self._max_pending - self.pending)
        taken = fresh[:room]
        pending.update(dict.fromkeys(taken))
        self.pending += len(taken)
        self.repeated += count - len(fresh)
        if len(fresh) > room:
            self.dropped["full"] += len(fresh) - room

    def wait_ns(self, file: int, download: bytes) -> int:
        """Return how long what is queued of older downloads will take before this one's turn, in ns up to 2**62; 0 when it is next."""
        state = self._files.get(file)
        entry = state.downloads.get(download) if state is not None else None
        if state is None or entry is None or not state.spacing_ns or state.find_first() is entry:
            return 0
        ahead = sum(len(other.pending) for other in state.downloads.values() if other.order < entry.order)
        return min(
            ahead * state.spacing_ns, LONGEST_NS
        )  # next to nothing may be reserved, and the answer must fit a frame

    def next_ns(self, file: int) -> int | None:
        """Return when the file's next block may leave, possibly in the past; None if nothing is queued or the rate is 0."""
        state = self._files.get(file)
        if state is None or not state.spacing_ns or state.find_first() is None:
            return None
        return max(state.idle_until_ns, state.last_ns + state.spacing_ns)

    def due(self, file: int, now_ns: int) -> Due | None:
        """Take the (download, piece, block) to send now, and say when the next may leave (None if there is none).

        Returns None if it is too early or nothing is queued. Idle time earns no credit, and a late driver catches up by one
        block at most.
        """
        state = self._files.get(file)
        if state is None or not state.spacing_ns:
            return None
        entry = state.first
        if entry is None or not entry.pending:
            entry = state.find_first()
        if entry is None:
            return None
        spacing_ns = state.spacing_ns
        free_ns = state.last_ns + spacing_ns
        if now_ns < free_ns or now_ns < state.idle_until_ns:
            return None
        pending = entry.pending
        key = pending.popitem(last=False)[0]
        self.pending -= 1
        state.last_ns = last_ns = max(free_ns, state.idle_until_ns, now_ns - spacing_ns)
        left = pending or state.find_first() is not None
        return entry.download, key // BLOCKS_PER_PIECE, key % BLOCKS_PER_PIECE, last_ns + spacing_ns if left else None

    def forget(self, file: int, download: bytes) -> None:
        """Drop what is queued for a download (closed, expired); asking again opens it anew, at the place then given."""
        state = self._files.get(file)
        entry = state.downloads.pop(download, None) if state is not None else None
        if entry is not None:
            self.pending -= len(entry.pending)
            entry.pending.clear()  # so that it is no longer the first

    def busy(self) -> bool:
        """Say whether any block is queued."""
        return self.pending > 0
