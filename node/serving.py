"""Pure: the upload side: which block of which download leaves next, and when.

Every file has its own reserved rate b_ij and its own queue. Downloads are served whole, the oldest first (the paper's pooled
service); one that asks for nothing at present does not hold up the next. The driver sleeps until `next_ns(file)`, takes
`due(file, now_ns)` and sends it: one timer per active file, O(log downloads) per block.

Source: Huberman and Wu, the bids b_ij and the pooled service; DESIGN section 4.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

from node.content import BLOCKS_PER_PIECE, block_count
from tracker.messages import BLOCK_BYTES

Run = tuple[int, int, int]
NS_PER_S = 1_000_000_000
LONG_WAIT_NS = 200_000_000  # a wait worth telling the downloader about


class _Download:
    """The blocks that one download waits for, in the order they were asked."""

    __slots__ = ("order", "pending", "queued")

    def __init__(self, order: int) -> None:
        self.order = order
        self.pending: OrderedDict[int, None] = OrderedDict()  # piece * 256 + block
        self.queued = False  # whether it is in its file's heap


class _File:
    """One served file: its rate, its downloads and when the last block left."""

    __slots__ = (
        "downloads",
        "idle_until_ns",
        "last_ns",
        "last_wire_bytes",
        "rate_bytes_per_s",
        "size_bytes",
        "spent_ns",
        "waiting",
    )

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.rate_bytes_per_s = 0.0
        self.downloads: dict[bytes, _Download] = {}
        self.waiting: list[tuple[int, bytes]] = []  # heap of (order, download) with pending blocks; forgotten ones too
        self.idle_until_ns = 0
        self.last_ns = 0
        self.last_wire_bytes = 0
        self.spent_ns = 0  # the last block's share of the rate

    def set_rate(self, rate_bytes_per_s: float) -> None:
        """Change the rate; it counts at once, from the last block on."""
        self.rate_bytes_per_s = rate_bytes_per_s
        if rate_bytes_per_s > 0.0:
            self.spent_ns = int(self.last_wire_bytes * NS_PER_S / rate_bytes_per_s)

    def free_ns(self) -> int:
        """Return when the next block may leave: the last one's share of the rate is used up; only for a rate > 0."""
        return max(self.idle_until_ns, self.last_ns + self.spent_ns)


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
        self._overhead_bytes = overhead_bytes
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
            state.set_rate(bids_bytes_per_s.get(file, 0.0))

    def enqueue(self, file: int, download: bytes, runs: Iterable[Run], *, place: int, now_ns: int) -> int:
        """Queue runs (piece, first block, count) of a download and return how many blocks were new.

        Downloads with a lower `place` go first; when it is the time that the download was opened, all servers of a file pool
        on the same one. A download keeps the place of its first request. Blocks already queued are not queued twice; blocks
        outside the file or over a bound are dropped and counted.
        """
        state = self._files.get(file)
        if state is None:
            self.dropped["not-offered"] += 1
            return 0
        entry = state.downloads.get(download)
        if entry is None:
            entry = state.downloads[download] = _Download(place)
        if self._first(state) is None:
            state.idle_until_ns = now_ns
        before = len(entry.pending)
        for run in runs:
            self._add(state, entry, run)
        if entry.pending and not entry.queued:
            entry.queued = True
            heappush(state.waiting, (entry.order, download))
        return len(entry.pending) - before

    def _add(self, state: _File, entry: _Download, run: Run) -> None:
        piece, first, count = run
        if first < 0 or count < 1 or first + count > block_count(state.size_bytes, piece):
            self.dropped["out-of-range"] += 1
            return
        base = piece * BLOCKS_PER_PIECE
        pending = entry.pending
        for key in range(base + first, base + first + count):
            if key in pending:
                self.repeated += 1
            elif len(pending) >= self._max_pending_per_download or self.pending >= self._max_pending:
                self.dropped["full"] += 1
            else:
                pending[key] = None
                self.pending += 1

    def wait_ns(self, file: int, download: bytes) -> int:
        """Return how long what is queued of older downloads will take before this one's turn, in ns; 0 when it is next."""
        state = self._files.get(file)
        entry = state.downloads.get(download) if state is not None else None
        if state is None or entry is None or state.rate_bytes_per_s <= 0.0 or self._first(state) == download:
            return 0
        ahead = sum(len(other.pending) for other in state.downloads.values() if other.order < entry.order)
        return int(ahead * (BLOCK_BYTES + self._overhead_bytes) * NS_PER_S / state.rate_bytes_per_s)

    def next_ns(self, file: int) -> int | None:
        """Return when the file's next block may leave, possibly in the past; None if nothing is queued or the rate is 0."""
        state = self._files.get(file)
        if state is None or state.rate_bytes_per_s <= 0.0 or self._first(state) is None:
            return None
        return state.free_ns()

    def due(self, file: int, now_ns: int) -> tuple[bytes, int, int] | None:
        """Take the (download, piece, block) to send now; None if it is too early or nothing is queued.

        Idle time earns no credit, and a late driver catches up by one block at most.
        """
        state = self._files.get(file)
        if state is None or state.rate_bytes_per_s <= 0.0:
            return None
        download = self._first(state)
        if download is None:
            return None
        free_ns = state.free_ns()
        if now_ns < free_ns:
            return None
        key = state.downloads[download].pending.popitem(last=False)[0]
        self.pending -= 1
        # A last block has a full one's pace: the difference is below one block per file.
        state.last_wire_bytes = wire_bytes = BLOCK_BYTES + self._overhead_bytes
        state.spent_ns = spent_ns = int(wire_bytes * NS_PER_S / state.rate_bytes_per_s)
        state.last_ns = max(free_ns, now_ns - spent_ns)
        return download, key // BLOCKS_PER_PIECE, key % BLOCKS_PER_PIECE

    def _first(self, state: _File) -> bytes | None:
        """Return the oldest download with pending blocks."""
        waiting = state.waiting
        while waiting:
            order, download = waiting[0]
            entry = state.downloads.get(download)
            if entry is not None and entry.order == order:
                if entry.pending:
                    return download
                entry.queued = False
            heappop(waiting)
        return None

    def forget(self, file: int, download: bytes) -> None:
        """Drop what is queued for a download (closed, expired); asking again opens it anew, at the place then given."""
        state = self._files.get(file)
        entry = state.downloads.pop(download, None) if state is not None else None
        if entry is not None:
            self.pending -= len(entry.pending)

    def busy(self) -> bool:
        """Say whether any block is queued."""
        return self.pending > 0
