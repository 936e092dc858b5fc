"""Pure: what became of each packet: causes of loss, and the receivers' columnar log.

One fate costs one to three appends to lists or bytes, and nothing is unpacked (an array's append takes twice as long). Every 8,192
fates, or when somebody asks, numpy folds them into per-link sums, sets of numbers and histograms.

Source: DESIGN section 3.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from netem.delay_histograms import UNCLASSED, Class, DelayHistograms
from netem.delay_law import DelayLaw
from netem.latency import LatencyHistogram
from netem.link_sums import FateTotals, LinkFates, LinkSums

FOLD_PACKETS = 8_192  # few enough to stay in the cache until then
_FOLD_NUMBERS = 4 * FOLD_PACKETS
MOST_MERGED = 64  # packets that a kernel hands over whole, and drops as one
_HEADER = np.dtype([("number", "<u4"), ("sent_ns", "<u8")])  # as `netem.route` packs it
_RADIX = 1 << 16
Keep = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
Rated = Callable[[int], int]


class Cause(enum.IntEnum):
    """Why a packet did not arrive; `-cause` is the verdict of a link that drops it."""

    LOSS = 1
    LINK_QUEUE = 2
    UPLINK_QUEUE = 3
    DOWNLINK_QUEUE = 4
    PARTITION = 5
    SEND_BUFFER = 6
    KERNEL = 7
    DESTINATION_DOWN = 8
    SOURCE_DOWN = 9
    LIMIT = 10
    CORRUPT = 11


_COUNTERS = max(Cause) + 1


def no_drops() -> list[int]:
    """Return a fresh counter of drops, to be indexed by `Cause` (index 0 stays 0)."""
    return [0] * _COUNTERS


class FateLog:
    """Record every received packet, and fold the records into sums per link.

    Args:
        links: how many link ids to make room for; more are added as they appear.

    `late(dues_ns, now_ns)` feeds the histogram `lateness` with how late departures were.

    `keep(links, numbers, delays_ns)`, int64 arrays in the order of arrival, is given the records at every fold.

    `links`, `headers` and `arrivals_ns` are the records of frames not yet folded: link id, the 12-byte netem header, time of
    arrival less `base_ns`. Who appends to them itself, for speed, appends to all three, and calls `fold` at `FOLD_PACKETS` records.
    `rated` has the links with a rate, each with what its
    rate makes of a size: their frames are `weigh`ed besides.

    Invariant: the integer sums do not depend on when folds happened.
    """

    __slots__ = (
        "_before_since",
        "_bytes",
        "_class_before",
        "_class_now",
        "_class_since",
        "_delays",
        "_records",
        "_sums",
        "arrivals_ns",
        "base_ns",
        "headers",
        "keep",
        "late",
        "lateness",
        "links",
        "rated",
    )

    def __init__(self, links: int = 64) -> None:
        self._records: list[int] = []  # four numbers a datagram: one call takes them all
        self.links: list[int] = []
        self.headers = bytearray()
        self.arrivals_ns: list[int] = []
        self.base_ns = 0
        self.rated: dict[int, Rated] = {}  # by link id
        self._bytes: dict[int, int] = {}
        self._sums = LinkSums(links)
        self._delays = DelayHistograms()
        self._class_now = np.zeros(links, dtype=np.int64)
        self._class_before = np.zeros(links, dtype=np.int64)
        self._class_since = np.zeros(links, dtype=np.int64)
        self._before_since = np.zeros(links, dtype=np.int64)
        self.lateness = LatencyHistogram()
        self.late: Callable[[Sequence[int], int], None] = self.lateness.extend
        self.keep: Keep = lambda links, numbers, delays_ns: None  # noqa: ARG005  # nobody wants them

    def classify(
        self, link_id: int, impairments: Class, *, law: Callable[[], DelayLaw | None], since: int | None
    ) -> None:
        """Count a link's delays beside those of equal impairments, from packet `since` on; None if nobody here knows since when.

        `law` is asked for the law of these delays.
        """
        known = UNCLASSED if since is None else self._delays.class_of(impairments, law)
        if since == 0:  # nothing has come by it yet
            if link_id >= len(self._class_now):
                self._make_room(link_id + 1)
            self._class_now[link_id] = known
            return
        self.fold()
        self._make_room(link_id + 1)
        # What was sent before the change before this one, and is still on its way, is left out.
        self._class_before[link_id] = UNCLASSED if since is None else self._class_now[link_id]
        self._before_since[link_id] = self._class_since[link_id]
        self._class_now[link_id] = known
        self._class_since[link_id] = since or 0

    def received(self, link_id: int, number: int, sent_ns: int, arrived_ns: int) -> None:
        """Record one received datagram: its link (small int), its number on that link (0 .. 2^40), its times."""
        records = self._records
        records += (link_id, number, sent_ns, arrived_ns)
        if len(records) >= _FOLD_NUMBERS:
            self.fold()

    def read(self, link_id: int, header: bytes, arrived_ns: int) -> None:
        """Record one frame by its netem header."""
        self.links.append(link_id)
        self.headers += header
        self.arrivals_ns.append(arrived_ns - self.base_ns)
        if len(self.links) >= FOLD_PACKETS:
            self.fold()

    def weigh(self, link_id: int, size_bytes: int, *, packets: int = 1) -> None:
        """Add a frame, or some of one size, to the bytes, as its rate counts them, that a link delivered after the first one."""
        rated_bytes = self.rated[link_id](size_bytes)
        self._bytes[link_id] = self._bytes.get(link_id, -rated_bytes) + rated_bytes * packets

    def bytes_after_first(self) -> Mapping[int, int]:
        """Return what was weighed, by link id."""
        return self._bytes

    def per_link(self) -> LinkFates:
        """Return all sums so far, one element a link id."""
        self.fold()
        return self._sums.per_link()

    def received_by_link(self) -> np.ndarray:
        """Return how many datagrams each link has delivered (int64 by link id)."""
        self.fold()
        return self._sums.received()

    def adjacent(self) -> np.ndarray:
        """Return how many packets of each link arrived of which the next one arrived too (int64 by link id)."""
        self.fold()
        return self._sums.adjacent()

    def delays(self) -> Mapping[Class, np.ndarray]:
        """Return the histograms of delays, see `DelayHistograms.counts`."""
        self.fold()
        return self._delays.counts()

    def totals(self) -> FateTotals:
        """Return the sums over all links so far."""
        self.fold()
        return self._sums.totals()

    def fold(self) -> None:
        """Add the records to the sums."""
        if not (self._records or self.links):
            return
        links, numbers, sent_ns, arrivals_ns = self._taken()
        delays_ns = arrivals_ns - sent_ns
        self.keep(links, numbers, delays_ns)
        most = int(links.max()) + 1
        self._make_room(most)
        # Group by link; a stable sort keeps the order of arrival within one, and of small integers it is much faster.
        order = np.argsort(links.astype(np.uint16) if most <= _RADIX else links, kind="stable")
        links, numbers, arrivals_ns, delays_ns = (column[order] for column in (links, numbers, arrivals_ns, delays_ns))
        self._sums.add(links, numbers, delays_ns=delays_ns, arrivals_ns=arrivals_ns)
        classes = self._class_now[links]
        if self._class_since.any():
            before = np.where(numbers >= self._before_since[links], self._class_before[links], UNCLASSED)
            classes = np.where(numbers >= self._class_since[links], classes, before)
        self._delays.add(classes, delays_ns)

    def _taken(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Take all records out: links, numbers, times of sending and of arrival."""
        headers = np.frombuffer(bytes(self.headers), dtype=_HEADER)
        read = (
            np.fromiter(self.links, np.int64, len(self.links)),  # which takes less time than `array`
            headers["number"].astype(np.int64),
            headers["sent_ns"].astype(np.int64),
            np.fromiter(self.arrivals_ns, np.int64, len(self.arrivals_ns)) + self.base_ns,
        )
        recorded = np.array(self._records, dtype=np.int64).reshape(-1, 4).T
        links, numbers, sent_ns, arrivals_ns = (
            np.concatenate(columns) if self._records else columns[1] for columns in zip(recorded, read, strict=True)
        )
        for column in (self._records, self.links, self.headers, self.arrivals_ns):
            column.clear()
        return links, numbers, sent_ns, arrivals_ns

    def _make_room(self, links: int) -> None:
        """Make room for link ids below `links`; those that nobody classified have no class."""
        self._sums.grow(links)
        have = len(self._class_now)
        if links > have:
            fresh = np.zeros(max(links, 2 * have) - have, dtype=np.int64)
            columns = (self._class_now, self._class_since, self._class_before, self._before_since)
            self._class_now, self._class_since, self._class_before, self._before_since = (
                np.concatenate((column, fresh)) for column in columns
            )
