"""Pure: what receivers saw, as sums per link that grow by numpy columns.

Source: DESIGN section 3 (realised taken from receivers' counts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netem.seen import NUMBER_BITS, SeenNumbers

_UNSEEN = np.iinfo(np.int64).max
_EMPTY = np.array([0, 0, 0, 0, _UNSEEN, 0, _UNSEEN, -1, _UNSEEN, -1], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class LinkFates:
    """What receivers saw per link: one array element a link id; int64 but for the float64 sum of squares.

    `received` counts all copies; `duplicates` those whose number was seen among the link's last 65,536 or more numbers;
    `distinct` is the difference. `reordered` counts distinct packets whose number is lower than one seen before on the
    link. `delay_min_ns`, `delay_max_ns`, `first_ns` and `last_ns` (of arrival), `lowest` and `highest` (numbers) mean something only where
    `received` is not 0.
    """

    received: np.ndarray
    distinct: np.ndarray
    duplicates: np.ndarray
    reordered: np.ndarray
    delay_sum_ns: np.ndarray
    delay_sum_squares_ns2: np.ndarray
    delay_min_ns: np.ndarray
    delay_max_ns: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    first_ns: np.ndarray
    last_ns: np.ndarray


@dataclass(frozen=True)
class FateTotals:
    """The sums of `LinkFates` over all links."""

    received: int
    distinct: int
    duplicates: int
    reordered: int
    delay_sum_ns: int


class LinkSums:
    """Sums by link id; more ids are added as they appear.

    Invariant: the integer sums do not depend on when records were added.
    """

    __slots__ = ("_seen", "_squares", "_sums")

    def __init__(self, links: int) -> None:
        # Rows: received, duplicates, reordered, delay sum, minimum, maximum, first arrival, last arrival, lowest and highest number.
        self._sums = np.zeros((len(_EMPTY), 0), dtype=np.int64)
        self._squares = np.zeros(0)
        self._seen = SeenNumbers()
        self.grow(links)

    def add(self, links: np.ndarray, numbers: np.ndarray, *, delays_ns: np.ndarray, arrivals_ns: np.ndarray) -> None:
        """Add records, grouped by link and within one in the order of arrival; none are refused, so there must be one."""
        starts = np.flatnonzero(np.diff(links, prepend=-1))
        seen = links[starts]
        again = self._seen_before((links << NUMBER_BITS) | numbers)
        late = self._below_highest(links, numbers) & ~again
        received, duplicates, reordered, delay_sum, low, high, first, last, lowest, highest = self._sums
        ends = np.append(starts[1:], len(links))
        received[seen] += ends - starts
        duplicates[seen] += np.add.reduceat(again, starts, dtype=np.int64)
        reordered[seen] += np.add.reduceat(late, starts, dtype=np.int64)
        delay_sum[seen] += np.add.reduceat(delays_ns, starts)
        low[seen] = np.minimum(low[seen], np.minimum.reduceat(delays_ns, starts))
        high[seen] = np.maximum(high[seen], np.maximum.reduceat(delays_ns, starts))
        first[seen] = np.minimum(first[seen], arrivals_ns[starts])
        last[seen] = arrivals_ns[ends - 1]
        lowest[seen] = np.minimum(lowest[seen], np.minimum.reduceat(numbers, starts))
        highest[seen] = np.maximum(highest[seen], np.maximum.reduceat(numbers, starts))
        self._squares[seen] += np.add.reduceat(delays_ns.astype(np.float64) ** 2, starts)
        self._seen.reduce(highest)

    def per_link(self) -> LinkFates:
        """Return all sums so far, one element a link id."""
        received, duplicates, reordered, delay_sum, low, high, first, last, lowest, highest = self._sums.copy()
        return LinkFates(
            received=received,
            distinct=received - duplicates,
            duplicates=duplicates,
            reordered=reordered,
            delay_sum_ns=delay_sum,
            delay_sum_squares_ns2=self._squares.copy(),
            delay_min_ns=low,
            delay_max_ns=high,
            lowest=lowest,
            highest=highest,
            first_ns=first,
            last_ns=last,
        )

    def totals(self) -> FateTotals:
        """Return the sums over all links so far."""
        received, duplicates, reordered, delay_sum = (int(row.sum()) for row in self._sums[:4])
        return FateTotals(received, received - duplicates, duplicates, reordered=reordered, delay_sum_ns=delay_sum)

    def received(self) -> np.ndarray:
        """Return how many datagrams each link has delivered (int64 by link id)."""
        received: np.ndarray = self._sums[0].copy()
        return received

    def adjacent(self) -> np.ndarray:
        """Return how many numbers of each link were seen whose successor was seen too (int64 by link id)."""
        return self._seen.adjacent(len(self._squares))

    def grow(self, links: int) -> None:
        """Make room for link ids below `links`."""
        have = len(self._squares)
        if links <= have:
            return
        more = max(links, 2 * have) - have
        self._sums = np.concatenate((self._sums, np.repeat(_EMPTY[:, None], more, axis=1)), axis=1)
        self._squares = np.concatenate((self._squares, np.zeros(more)))

    def _seen_before(self, keys: np.ndarray) -> np.ndarray:
        """Mark packets (by link and number) that were seen earlier, and remember them all."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        first = np.diff(ordered, prepend=-1) != 0
        again = np.ones(len(keys), dtype=bool)
        again[order[first]] = self._seen.add(ordered[first])
        return again

    def _below_highest(self, links: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Mark packets whose number is lower than one before on the same link; both arrays are grouped by link."""
        # The link in the high bits makes one running maximum start anew at every group.
        base = links << NUMBER_BITS
        highest = np.maximum.accumulate(base | numbers)
        before = np.concatenate(([-1], highest[:-1])) - base
        below: np.ndarray = numbers < np.maximum(before, self._sums[-1][links])
        return below
