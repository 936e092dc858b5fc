"""Pure: what happens in a run, in words, a few lines a second however much it is; a fold over the event stream."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from netem.clock import S
from netem.events import Event
from node.events import OddsHeard, PieceAccepted
from tracker.events import BoardPosted, FeeHeld, FilePublished

ROUTINE = frozenset({BoardPosted, FeeHeld, OddsHeard, PieceAccepted})  # they come all the time: the panels show them
MOST_OF_A_KIND = 3  # lines a turn; more become one line with their number
KEPT_LINES = 200


class Ticker:
    """Lines about a run's events.

    Args:
        started_ns: what times are told from.

    Attributes:
        names: what to call whom, by id; filled by who knows.
    """

    def __init__(self, started_ns: int) -> None:
        self.names: dict[bytes, str] = {}
        self._started_ns = started_ns
        self._files: dict[int, str] = {}
        self._fresh: dict[type[Event], list[tuple[int, Event]]] = {}
        self._counts: dict[type[Event], int] = {}
        self._lines: deque[dict[str, Any]] = deque(maxlen=KEPT_LINES)
        self._told = 0

    def fold(self, time_ns: int, event: Event) -> None:
        """Take an event."""
        kind = type(event)
        if kind in ROUTINE:
            return
        if isinstance(event, FilePublished):
            self._files[event.index] = event.name.rpartition("/")[2]
        self._counts[kind] = self._counts.get(kind, 0) + 1
        fresh = self._fresh.setdefault(kind, [])
        if len(fresh) < MOST_OF_A_KIND:
            fresh.append((time_ns, event))

    def turn(self) -> None:
        """Make lines of what came since the last turn."""
        lines = []
        for kind, fresh in self._fresh.items():
            if (count := self._counts[kind]) > MOST_OF_A_KIND:
                lines.append((fresh[0][0], kind.__name__, f"{_words(kind)}: {count} times"))
            else:
                lines += [(time_ns, kind.__name__, self._text(event)) for time_ns, event in fresh]
        self._fresh.clear()
        self._counts.clear()
        for time_ns, name, text in sorted(lines):
            self._told += 1
            at_s = (time_ns - self._started_ns) / S
            self._lines.append({"number": self._told, "at_s": at_s, "kind": name, "text": text})

    def since(self, number: int) -> list[Mapping[str, Any]]:
        """Return the lines after that number that are still kept, oldest first."""
        return [line for line in self._lines if line["number"] > number]

    def _text(self, event: Event) -> str:
        told = [self._value(name, getattr(event, name)) for name in event.__struct_fields__]
        return f"{_words(type(event))}: {', '.join(text for text in told if text)}".removesuffix(": ")

    def _value(self, name: str, value: object) -> str:
        if isinstance(value, bytes):
            return self.names.get(value, "")  # other ids and hashes say nothing to a person
        if name == "index" and isinstance(value, int):
            return f"file {value} ({self._files[value]})" if value in self._files else f"file {value}"
        if isinstance(value, str):
            return value
        return f"{name.replace('_', ' ')} {value:g}" if isinstance(value, int | float) else ""


def _words(kind: type[Event]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()
