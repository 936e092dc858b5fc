"""Pure: claims: what theory predicts beside what was measured, and the record of a run that they are judged from.

Source: DESIGN section 5.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, overload

from netem.clock import S
from netem.events import Event

if TYPE_CHECKING:
    from netem.certificate import Certificate

Value = float | int | str | None
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One comparison of theory and measurement.

    Args:
        predicted, measured: in the unit that `name` states; None when there was nothing to measure.
        tolerance: how far apart they may be by the model; 0 means exactly equal.
        ok: the verdict; False when there was too little data to judge, None when the user switched off what is assumed.
        source: paper key, section and equation, or the derivation.
        detectable: the smallest deviation that this run could have told from chance.
        note: what a reader needs to know, in a sentence.
    """

    name: str
    predicted: Value
    measured: Value
    tolerance: float
    ok: bool | None
    source: str
    detectable: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the claim as in result.json."""
        return {
            "name": self.name,
            "predicted": self.predicted,
            "measured": self.measured,
            "tolerance": self.tolerance,
            "ok": self.ok,
            "source": self.source,
            "detectable": self.detectable,
            "note": self.note,
        }


def compare(
    name: str, *, predicted: float, measured: float | None, tolerance: float, source: str, note: str = ""
) -> Claim:
    """Make a claim that two numbers agree within a tolerance; without a measurement it fails."""
    ok = measured is not None and abs(measured - predicted) <= tolerance
    return Claim(
        name=name,
        predicted=predicted,
        measured=measured,
        tolerance=tolerance,
        ok=ok,
        source=source,
        detectable=tolerance,
        note=note if measured is not None else f"nothing was measured; {note}",
    )


def assumed(name: str, why: str, source: str) -> Claim:
    """Leave a claim unjudged because the user switched off what it assumes."""
    return Claim(name=name, predicted=None, measured=None, tolerance=0.0, ok=None, source=source, note=why)


def unjudged(name: str, why: str, source: str) -> Claim:
    """Fail a claim for which there was too little data."""
    return Claim(
        name=name, predicted=None, measured=None, tolerance=0.0, ok=False, source=source, note=f"{why}: too little data"
    )


class Prefix(Sequence[tuple[int, Any]]):
    """The first elements of a list that only grows, maybe in another thread."""

    __slots__ = ("_elements", "_length")

    def __init__(self, elements: Sequence[tuple[int, Any]], length: int) -> None:
        self._elements = elements
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return itertools.islice(self._elements, self._length)

    @overload
    def __getitem__(self, index: int) -> tuple[int, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[int, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        places = range(self._length)[index]
        return self._elements[places] if isinstance(places, int) else [self._elements[place] for place in places]


@dataclass(slots=True)
class Trace:
    """A run's events by type, in order, each with its time in Unix nanoseconds; a fold over the event stream."""

    by_type: dict[type[Event], Any] = field(default_factory=lambda: defaultdict(list))

    def fold(self, time_ns: int, event: Event) -> None:
        """Take an event."""
        self.by_type[type(event)].append((time_ns, event))

    def so_far(self) -> Trace:
        """Return the events so far, which stay as they are when more come; nothing is copied, however many there are."""
        return Trace({kind: Prefix(events, len(events)) for kind, events in self.by_type.items()})

    def of(self, kind: type[E]) -> Sequence[tuple[int, E]]:
        """Return the events of a type with their times."""
        events: Sequence[tuple[int, E]] = self.by_type.get(kind, [])
        return events


@dataclass(frozen=True, slots=True)
class Record:
    """All that claims may look at once a run is over.

    Args:
        params: the scenario's parameters.
        trace: its events.
        started_ns: when the scenario began.
        certificate: the network's fidelity certificate.
        facts: what the scenario noted for its claims, by name.
        ledger_ok: the journal's invariants I1-I8 as audited from disk, by name.
    """

    params: Any
    trace: Trace
    started_ns: int
    certificate: Certificate
    facts: Mapping[str, Any]
    ledger_ok: Mapping[str, bool]

    def times_s(self, kind: type[Event]) -> list[float]:
        """Return when the events of a type happened, in seconds since the scenario began, ascending."""
        return [(time_ns - self.started_ns) / S for time_ns, _ in self.trace.of(kind)]
