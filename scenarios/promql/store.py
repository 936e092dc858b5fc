"""Pure: samples of every series in memory, in columns, one per scrape.

All series of a scrape share its time, as with Prometheus and one target. A series that is missing from a scrape has ended there (Prometheus
writes a stale marker), until it comes back. Blocks hold a few scrapes each; when the memory limit is reached the oldest block goes.
Series themselves are never forgotten: the metric specs bound their number.

One other thread may read while scrapes are appended: whatever is read is either only ever added to, or copied in one step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netem.errors import LocalProtocolError
from scenarios.promql.frames import Frame, Integers, Mask, Numbers, Samples
from scenarios.promql.labels import NAME, Labels, Matcher, accepted, labels_of

SCRAPES_PER_BLOCK = 32
LIMIT_BYTES = 256 * 2**20
REMEMBERED_SELECTIONS = 256
_STALE_BITS = 0x7FF0000000000002  # Prometheus's own stale marker, one of the many bit patterns of NaN
STALE: np.float64 = np.array([_STALE_BITS], np.int64).view(np.float64)[0]


@dataclass(frozen=True, slots=True)
class Description:
    """What a metric family is: `kind` is counter, gauge, histogram, summary or unknown."""

    kind: str
    help: str
    unit: str = ""


class _Block:
    """A few scrapes: `times_ms` (scrapes,) and `values` (rows, scrapes), of which the first `used` scrapes are written."""

    __slots__ = ("times_ms", "used", "values")

    def __init__(self, rows: int) -> None:
        self.times_ms: Integers = np.zeros(SCRAPES_PER_BLOCK, np.int64)
        self.values: Numbers = np.empty((rows, SCRAPES_PER_BLOCK))
        self.used = 0


class SampleStore:
    """The samples of a run, at most `limit_bytes` of them (one block at least); the oldest go first."""

    def __init__(self, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._blocks: deque[_Block] = deque()
        self._ids: dict[Labels, int] = {}
        self._labels: list[Labels] = []
        self._of_name: dict[str, list[int]] = {}
        self._selections: dict[tuple[Matcher, ...], Integers] = {}
        self.descriptions: dict[str, Description] = {}

    def series(self, name: str, labels: Mapping[str, str]) -> int:
        """Return the number of a series, the same for the same name and labels; new ones count up from 0."""
        key = labels_of({**labels, NAME: name})
        known = self._ids.get(key)
        if known is not None:
            return known
        self._ids[key] = number = len(self._labels)
        self._labels.append(key)
        self._of_name.setdefault(name, []).append(number)
        self._selections.clear()
        return number

    def append(self, time_ms: int, numbers: Sequence[int] | Integers, values: Sequence[float] | Numbers) -> None:
        """Add one scrape: the values (float64) of the series with these numbers; all other series are stale from now on.

        Raises:
            LocalProtocolError: the time is not after the last scrape's; nothing was added.
        """
        if self._blocks and time_ms <= self.bounds_ms()[1]:
            raise LocalProtocolError(f"a scrape at {time_ms} ms is not after the last, at {self.bounds_ms()[1]} ms")
        block = self._block_with_room()
        block.values[:, block.used] = STALE
        block.values[np.asarray(numbers, np.int64), block.used] = np.asarray(values, np.float64)
        block.times_ms[block.used] = time_ms
        block.used += 1  # last: a reader in another thread sees whole scrapes only

    def _block_with_room(self) -> _Block:
        rows = len(self._labels)
        last = self._blocks[-1] if self._blocks else None
        if last is not None and last.used < SCRAPES_PER_BLOCK and last.values.shape[0] >= rows:
            return last
        # Powers of two: while nodes join, few blocks are given up half empty.
        block = _Block(1 << max(rows - 1, 63).bit_length())
        self._blocks.append(block)
        while len(self._blocks) > 1 and sum(block.values.nbytes for block in self._blocks) > self._limit_bytes:
            self._blocks.popleft()
        return block

    def bounds_ms(self) -> tuple[int, int]:
        """Return the times of the oldest and the newest scrape kept; (0, -1), an empty range, before the first."""
        blocks = [block for block in tuple(self._blocks) if block.used]
        if not blocks:
            return 0, -1
        return int(blocks[0].times_ms[0]), int(blocks[-1].times_ms[blocks[-1].used - 1])

    def labels(self, number: int) -> Labels:
        """Return the labels of a series, its name among them."""
        return self._labels[number]

    def select(self, matchers: tuple[Matcher, ...]) -> Integers:
        """Return the numbers of the series that fulfil all matchers, rising.

        Raises:
            BadQuery: a matcher holds no RE2 expression.
        """
        found = self._selections.get(matchers)
        if found is None:
            known = len(self._labels)
            found = np.array(
                sorted(n for n in self._candidates(matchers) if accepted(self._labels[n], matchers)), np.int64
            )
            if len(self._selections) >= REMEMBERED_SELECTIONS:
                self._selections.clear()
            if known == len(self._labels):  # else a series came meanwhile, and this answer is old already
                self._selections[matchers] = found
        return found

    def _candidates(self, matchers: tuple[Matcher, ...]) -> list[int]:
        on_name = [matcher for matcher in matchers if matcher.name == NAME]
        names = [name for name in list(self._of_name) if all(matcher.accepts(name) for matcher in on_name)]
        return [number for name in names for number in list(self._of_name[name])]

    def samples(self, numbers: Integers, *, start_ms: int, end_ms: int) -> Samples:
        """Return the samples of some series at every scrape from `start_ms` to `end_ms`, both inclusive."""
        labels = tuple(self._labels[number] for number in numbers.tolist())
        times: list[Integers] = [np.empty(0, np.int64)]
        values: list[Numbers] = [np.empty((len(numbers), 0))]
        for block in tuple(self._blocks):
            written = block.times_ms[: block.used]
            first, last = np.searchsorted(written, start_ms), np.searchsorted(written, end_ms, "right")
            if first < last:
                times.append(written[first:last])
                values.append(_rows(block.values[:, first:last], numbers))
        together = np.concatenate(values, axis=1)
        return Samples(np.concatenate(times), Frame(labels, together, is_sample(together)))


def is_sample(values: Numbers) -> Mask:
    """Tell where values are samples and not stale markers; any other NaN is a sample."""
    present: NDArray[np.bool_] = values.view(np.int64) != _STALE_BITS
    return present


def _rows(values: Numbers, numbers: Integers) -> Numbers:
    """Return rows of a block; series that are younger than the block are stale in it."""
    if not numbers.size or numbers[-1] < values.shape[0]:
        return values[numbers]
    found = np.full((len(numbers), values.shape[1]), STALE)
    old = numbers < values.shape[0]
    found[old] = values[numbers[old]]
    return found
