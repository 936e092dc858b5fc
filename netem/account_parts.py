"""Pure: an account of packets as parts that fit a frame, for another process, and back.

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from netem.accounts import Account
from netem.certificate import Conservation
from netem.delay_histograms import BINS
from netem.fates import no_drops
from netem.latency import Counts
from netem.link_config import Exposure, LinkConfig, Rests
from netem.link_count import NUMBERS, LinkCount
from netem.plain_link import from_plain, to_plain

_ROWS_PER_PART = 100  # a part fits a frame, however many rests its links had


class _Row(msgspec.Struct, array_like=True):
    """A `LinkCount`: names, exposures, rests, drops, and its other fields in order."""

    source: str
    target: str
    exposures: list[tuple[bytes, int]]
    rests: tuple[int, list[tuple[int, int]]]
    dropped: list[int]
    numbers: list[int | float]


class _Part(msgspec.Struct, array_like=True):
    """A piece of an account on its way to another process: the totals come with the first, histograms as they count.

    `delays` holds of each class the configuration that says it, and its bins that are not empty.
    """

    totals: tuple[int, int, int, list[int], int, int, int] | None
    histograms: list[Counts]
    delays: list[tuple[bytes, list[tuple[int, int]]]]
    links: list[_Row]


def pack(account: Account) -> Iterator[bytes]:
    """Yield an account as parts of well below 1 MiB each, for `unpack`."""
    kept = account.conservation
    totals = (kept.sent, kept.copies, kept.delivered, list(kept.dropped), kept.in_flight, kept.unsure, account.foreign)
    histograms = [account.lateness.counts(), account.lag.counts()]
    yield msgspec.msgpack.encode(_Part(totals, histograms, [], []))
    rows = [_to_row(count) for count in account.links if count.packets or count.received or any(count.dropped)]
    for some in _slices(rows):
        yield msgspec.msgpack.encode(_Part(None, [], [], some))
    for key, counts in account.delays.items():
        places = np.flatnonzero(counts).tolist()
        filled = list(zip(places, counts[places].tolist(), strict=True))
        yield msgspec.msgpack.encode(_Part(None, [], [(to_plain(LinkConfig(key)), filled)], []))


def _slices(rows: list[_Row]) -> Iterator[list[_Row]]:
    return (rows[start : start + _ROWS_PER_PART] for start in range(0, len(rows), _ROWS_PER_PART))


def _to_row(count: LinkCount) -> _Row:
    return _Row(
        count.source,
        count.target,
        [(to_plain(exposure.config), exposure.packets) for exposure in count.exposures],
        (count.rests.earlier_ns, list(count.rests.late)),
        list(count.dropped),
        [getattr(count, name) for name in NUMBERS],
    )


def _from_row(row: _Row) -> LinkCount:
    numbers: dict[str, Any] = dict(zip(NUMBERS, row.numbers, strict=True))
    return LinkCount(
        row.source,
        row.target,
        exposures=tuple(Exposure(from_plain(config), packets) for config, packets in row.exposures),
        rests=Rests(row.rests[0], tuple(row.rests[1])),
        dropped=tuple(row.dropped),
        **numbers,
    )


def unpack(parts: Iterable[bytes]) -> Account:
    """Return the account that `pack` made parts of; raise `msgspec.DecodeError` for anything else."""
    account = Account(Conservation(0, 0, 0, dropped=tuple(no_drops()), in_flight=0), [])
    for part in map(msgspec.msgpack.Decoder(_Part).decode, parts):
        if part.totals is not None:
            sent, copies, delivered, dropped, in_flight, unsure, account.foreign = part.totals
            account.conservation = Conservation(
                sent, copies, delivered, dropped=tuple(dropped), in_flight=in_flight, unsure=unsure
            )
            for histogram, latencies in zip((account.lateness, account.lag), part.histograms, strict=True):
                histogram.merge(latencies)
        for config, filled in part.delays:
            counts = account.delays[from_plain(config).impairments] = np.zeros(BINS + 2, dtype=np.int64)
            for place, count in filled:
                counts[place] = count
        account.links += map(_from_row, part.links)
    return account
