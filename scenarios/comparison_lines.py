"""Pure: where two runs part, as lines for a terminal."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from netem.clock import S
from scenarios.comparison import Comparison, Difference, PacketParting, Parting

_MOST_LINES = 8
_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 6
_SHORT.maxstring = _SHORT.maxother = 60


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield what `swarmbed diff` prints."""
    if found.same:
        yield f"the same    {found.digests[0] or 'neither was finished'}"
    else:
        yield from ("different", f"  A         {found.runs[0]}", f"  B         {found.runs[1]}")
    yield from _values("set-up", found.setup)
    yield from _values("note", found.notes)
    if found.same:
        return
    if found.digests[0] != found.digests[1]:
        yield f"digest      A {found.digests[0] or 'not finished'}"
        yield f"            B {found.digests[1] or 'not finished'}"
    show = _timed_event if found.exact else _plain
    yield from _parting("events", found.events, show)
    yield from (f"            the trace {path} is cut off in the midst of an event" for path in found.cut_off)
    yield from _packets(found.links)
    yield from _parting("journal", found.journal, _plain)
    yield from _values("counts", found.counts)


def _values(title: str, found: Sequence[Difference]) -> Iterator[str]:
    for place, one in enumerate(found[:_MOST_LINES]):
        yield f"{title if not place else '':<12}{one.path}: A {_SHORT.repr(one.a)}, B {_SHORT.repr(one.b)}"
    if len(found) > _MOST_LINES:
        yield f"            and {len(found) - _MOST_LINES} more"


def _parting(title: str, parting: Parting | None, show: Callable[[Any], str]) -> Iterator[str]:
    if parting is None:
        yield f"{title:<12}equal"
        return
    yield f"{title:<12}part at number {parting.index}"
    yield from (f"     both   {show(one)}" for one in parting.before)
    for name, rest in (("A", parting.a), ("B", parting.b)):
        yield from (f"        {name}   {show(one)}" for one in rest)
        if not rest:
            yield f"        {name}   ends here"


def _packets(links: Sequence[PacketParting] | None) -> Iterator[str]:
    if links is None:
        yield "packets     not recorded by both"
    elif not links:
        yield "packets     equal"
    else:
        yield f"packets     part on {len(links)} links; in the order of their arrivals:"
        for one in links[:_MOST_LINES]:
            yield (
                f"            {one.source} > {one.target} k={one.number}: A {_arrivals(one.a_delays_ns)}, "
                f"B {_arrivals(one.b_delays_ns)}; {one.packets} packets differ"
            )
        if len(links) > _MOST_LINES:
            yield f"            and {len(links) - _MOST_LINES} more"


def _arrivals(delays_ns: Sequence[int]) -> str:
    if not delays_ns:
        return "did not arrive"
    return "arrived after " + " and ".join(f"{delay_ns / 1e6:.6f} ms" for delay_ns in delays_ns)


def _timed_event(item: Any) -> str:
    time_ns, event = item
    return f"{time_ns // S}.{time_ns % S:09d} {_plain(event)}"


def _plain(item: Any) -> str:
    return _SHORT.repr(item)
