"""Pure: what became of each packet: causes of loss, and the receivers' columnar log.

One fate costs three appends to lists or bytes, and nothing is unpacked (an array's append takes twice as long). Every 65,536
fates, or when somebody asks, numpy folds them into per-link sums.

Source: DESIGN section 3.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from netem.latency import LatencyHistogram

FOLD_PACKETS = 65_536
_NUMBER_BITS = 40
_HEADER = np.dtype([("number", "<u4"), ("sent_ns", "<u8")])  # as `netem.route` packs it
_UNSEEN_NS = np.iinfo(np.int64).max
Keep = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


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


@dataclass(frozen=True, eq=False)
class LinkFates:
    """What receivers saw per link: one array element a link id; int64 but for the float64 sum of squares.

    `received` counts all copies; `duplicates` those whose number was seen among the last 65,536 or more fates;
    `distinct` is the difference. `reordered` counts distinct packets whose number is lower than one seen before on the
    link. `delay_min_ns` and `delay_max_ns` mean something only where `received` is not 0.
    """

    received: np.ndarray
    distinct: np.ndarray
    duplicates: np.ndarray
    reordered: np.ndarray
    delay_sum_ns: np.ndarray
    delay_sum_squares_ns2: np.ndarray
    delay_min_ns: np.ndarray
    delay_max_ns: np.ndarray


@dataclass(frozen=True)
class FateTotals:
    """The sums of `LinkFates` over all links."""

    received: int
    distinct: int
    duplicates: int
    reordered: int
    delay_sum_ns: int


class FateLog:
    """Record every received packet, and fold the records into sums per link.

    Args:
        links: how many link ids to make room for; more are added as they appear.

    `late(lateness_ns)`, a list, feeds the histogram `lateness` with how late departures were.

    `keep(links, numbers, delays_ns)`, int64 arrays in the order of arrival, is given the records at every fold.

    `links`, `headers` and `arrivals_ns` are the records of frames not yet folded: link id, the 12-byte netem header, time of
    arrival less `base_ns`. Who appends to them itself, for speed, appends to all three, and calls `fold` at `FOLD_PACKETS` records.

    Invariant: the integer sums do not depend on when folds happened.
    """

    __slots__ = (
        "_delays",
        "_highest",
        "_links",
        "_newer",
        "_numbers",
        "_older",
        "_squares",
        "_sums",
        "arrivals_ns",
        "base_ns",
        "headers",
        "keep",
        "late",
        "lateness",
        "links",
    )

    def __init__(self, links: int = 64) -> None:
        self._links: list[int] = []
        self._numbers: list[int] = []
        self._delays: list[int] = []
        self.links: list[int] = []
        self.headers = bytearray()
        self.arrivals_ns: list[int] = []
        self.base_ns = 0
        # Rows: received, duplicates, reordered, delay sum, minimum, maximum.
        self._sums = np.zeros((6, 0), dtype=np.int64)
        self._squares = np.zeros(0)
        self._highest = np.zeros(0, dtype=np.int64)
        self._older = self._newer = np.zeros(0, dtype=np.int64)
        self.lateness = LatencyHistogram()
        self.late: Callable[[list[int]], None] = self.lateness.extend
        self.keep: Keep = lambda links, numbers, delays_ns: None  # noqa: ARG005  # nobody wants them
        self._grow(links)

    def received(self, link_id: int, number: int, delay_ns: int) -> None:
        """Record one received datagram: its link (small int), its number on that link (0 .. 2^40), its delay."""
        self._links.append(link_id)
        self._numbers.append(number)
        self._delays.append(delay_ns)
        if len(self._delays) >= FOLD_PACKETS:
            self.fold()

    def read(self, link_id: int, header: bytes, arrived_ns: int) -> None:
        """Record one frame by its netem header."""
        self.links.append(link_id)
        self.headers += header
        self.arrivals_ns.append(arrived_ns - self.base_ns)
        if len(self.links) >= FOLD_PACKETS:
            self.fold()

    def per_link(self) -> LinkFates:
        """Return all sums so far, one element a link id."""
        self.fold()
        received, duplicates, reordered, delay_sum, low, high = self._sums.copy()
        return LinkFates(
            received=received,
            distinct=received - duplicates,
            duplicates=duplicates,
            reordered=reordered,
            delay_sum_ns=delay_sum,
            delay_sum_squares_ns2=self._squares.copy(),
            delay_min_ns=low,
            delay_max_ns=high,
        )

    def totals(self) -> FateTotals:
        """Return the sums over all links so far."""
        self.fold()
        received, duplicates, reordered, delay_sum = (int(row.sum()) for row in self._sums[:4])
        return FateTotals(received, received - duplicates, duplicates, reordered=reordered, delay_sum_ns=delay_sum)

    def fold(self) -> None:
        """Add the records to the sums."""
        links, numbers, delays = self._taken()
        if not len(links):
            return
        self.keep(links, numbers, delays)
        self._grow(int(links.max()) + 1)
        # Group by link; a stable sort keeps the order of arrival within one.
        order = np.argsort(links, kind="stable")
        links, numbers, delays = links[order], numbers[order], delays[order]
        starts = np.flatnonzero(np.diff(links, prepend=-1))
        seen = links[starts]
        again = self._seen_before((links << _NUMBER_BITS) | numbers)
        late = self._below_highest(links, numbers) & ~again
        received, duplicates, reordered, delay_sum, low, high = self._sums
        received[seen] += np.diff(starts, append=len(links))
        duplicates[seen] += np.add.reduceat(again, starts, dtype=np.int64)
        reordered[seen] += np.add.reduceat(late, starts, dtype=np.int64)
        delay_sum[seen] += np.add.reduceat(delays, starts)
        low[seen] = np.minimum(low[seen], np.minimum.reduceat(delays, starts))
        high[seen] = np.maximum(high[seen], np.maximum.reduceat(delays, starts))
        self._squares[seen] += np.add.reduceat(delays.astype(np.float64) ** 2, starts)
        self._highest[seen] = np.maximum(self._highest[seen], np.maximum.reduceat(numbers, starts))

    def _taken(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take all records out: links, numbers and delays."""
        headers = np.frombuffer(bytes(self.headers), dtype=_HEADER)
        delays = np.array(self.arrivals_ns, dtype=np.int64) + self.base_ns - headers["sent_ns"].astype(np.int64)
        taken = (
            np.concatenate((np.array(self._links, dtype=np.int64), np.array(self.links, dtype=np.int64))),
            np.concatenate((np.array(self._numbers, dtype=np.int64), headers["number"].astype(np.int64))),
            np.concatenate((np.array(self._delays, dtype=np.int64), delays)),
        )
        for column in (self._links, self._numbers, self._delays, self.links, self.headers, self.arrivals_ns):
            column.clear()
        return taken

    def _seen_before(self, keys: np.ndarray) -> np.ndarray:
        """Mark packets (by link and number) seen earlier in this fold or in the window, and move the window on."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        again = np.zeros(len(keys), dtype=bool)
        again[order[1:]] = ordered[1:] == ordered[:-1]
        for window in (self._older, self._newer):
            if len(window):
                place = np.searchsorted(window, keys)
                place[place == len(window)] = 0
                again |= window[place] == keys
        self._newer = np.sort(np.concatenate((self._newer, ordered)), kind="stable")
        if len(self._newer) >= FOLD_PACKETS:
            self._older, self._newer = self._newer, np.zeros(0, dtype=np.int64)
        return again

    def _below_highest(self, links: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Mark packets whose number is lower than one before on the same link; both arrays are grouped by link."""
        # The link in the high bits makes one running maximum start anew at every group.
        base = links << _NUMBER_BITS
        highest = np.maximum.accumulate(base | numbers)
        before = np.concatenate(([-1], highest[:-1])) - base
        below: np.ndarray = numbers < np.maximum(before, self._highest[links])
        return below

    def _grow(self, links: int) -> None:
        have = len(self._squares)
        if links <= have:
            return
        more = max(links, 2 * have) - have
        fresh = np.zeros((6, more), dtype=np.int64)
        fresh[4] = _UNSEEN_NS
        self._sums = np.concatenate((self._sums, fresh), axis=1)
        self._squares = np.concatenate((self._squares, np.zeros(more)))
        self._highest = np.concatenate((self._highest, np.full(more, -1, dtype=np.int64)))
