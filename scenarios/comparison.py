"""Pure: where two runs part: what was asked for, the first event that differs, the first packet, the journals.

Source: DESIGN section 6 (`swarmbed diff`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from netem.run_fates import LinkFate, RunFates

CONTEXT = 3  # events shown before the first that differs, and after it of each run
Ends = tuple[str, str]
_ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that the runs do not share, by its path, such as `params.loss`."""

    path: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class Parting:
    """The first place where two sequences differ: `before` they share; `a` and `b` go on from there, empty at an end."""

    index: int
    before: Sequence[Any]
    a: Sequence[Any]
    b: Sequence[Any]


@dataclass(frozen=True, slots=True)
class PacketParting:
    """The first packet of a link that fared differently: own delays (ns) of its arrivals in each run, none if it did not arrive.

    `place` says how many datagrams had arrived anywhere before it did so in either run.
    """

    source: str
    target: str
    number: int
    a_delays_ns: Sequence[int]
    b_delays_ns: Sequence[int]
    packets: int
    place: int


def differences(a: Any, b: Any, path: str = "") -> Iterator[Difference]:
    """Yield what differs between two JSON values, leaf by leaf, in the order of the keys."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            yield from differences(a.get(key, _ABSENT), b.get(key, _ABSENT), f"{path}.{key}" if path else key)
    elif a != b or type(a) is not type(b):
        yield Difference(path, a, b)


def part(a: Iterable[Any], b: Iterable[Any]) -> Parting | None:
    """Return where two sequences part, with context; None when they are equal."""
    before: deque[Any] = deque(maxlen=CONTEXT)
    nothing = object()
    one, other = iter(a), iter(b)
    for index, (left, right) in enumerate(zip_longest(one, other, fillvalue=nothing)):
        if left != right:
            rests = []
            for first, rest in ((left, one), (right, other)):
                more = (
                    [] if first is nothing else [first, *(item for item, _ in zip(rest, range(CONTEXT), strict=False))]
                )
                rests.append(more)
            return Parting(index, *(list(map(_readable, items)) for items in (before, *rests)))
        before.append(left)
    return None


def _readable(value: Any) -> Any:
    """Return a value with its bytes, such as ids, in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    return [_readable(item) for item in value] if isinstance(value, list | tuple) else value


def part_links(a: RunFates, b: RunFates, *, exact: bool) -> list[PacketParting]:
    """Return where each link's packets part, the earliest arrival first; `exact` compares delays too, which only simulated time repeats."""
    partings = []
    for ends in sorted(a.links.keys() | b.links.keys()):
        one, other = a.links.get(ends, LinkFate()), b.links.get(ends, LinkFate())
        parting = _part_link(ends, one, other, exact=exact)
        if parting is not None:
            partings.append(parting)
    return sorted(partings, key=lambda parting: (parting.place, parting.source, parting.target))


def _part_link(ends: Ends, one: LinkFate, other: LinkFate, *, exact: bool) -> PacketParting | None:
    if np.array_equal(one.numbers, other.numbers) and (not exact or np.array_equal(one.delays_ns, other.delays_ns)):
        return None
    a, b = one.arrivals(), other.arrivals()
    differing = sorted(number for number in a.keys() | b.keys() if not _same(a.get(number), b.get(number), exact=exact))
    if not differing:
        return None
    places = [link.places[np.isin(link.numbers, differing)] for link in (one, other)]
    first = differing[0]
    return PacketParting(
        *ends,
        number=first,
        a_delays_ns=a.get(first, []),
        b_delays_ns=b.get(first, []),
        packets=len(differing),
        place=int(min(found.min() for found in places if len(found))),
    )


def _same(a: list[int] | None, b: list[int] | None, *, exact: bool) -> bool:
    return a == b if exact else len(a or []) == len(b or [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two runs share and where they part; None is for what was not recorded by both.

    `setup` are differences of what was asked for, `notes` those of versions and platform, which need not matter. `digests` are
    "" where a run has none. `exact` says whether times were compared. `cut_off` are traces that end in the midst of an event. `counts` are differences of the results' counts.
    """

    runs: tuple[str, str]
    setup: Sequence[Difference]
    notes: Sequence[Difference]
    digests: tuple[str, str]
    counts: Sequence[Difference]
    exact: bool
    events: Parting | None
    cut_off: Sequence[str]
    links: Sequence[PacketParting] | None
    journal: Parting | None

    @property
    def same(self) -> bool:
        """Say whether nothing differs but versions and platform."""
        parted = (self.events, self.journal, self.links, self.setup, self.counts, self.cut_off)
        return not any(parted) and self.digests[0] == self.digests[1]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {"same": self.same, **asdict(self)}
