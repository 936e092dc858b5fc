"""Pure: the one typed event stream of a run, and the base of every event.

Trace file, metrics, page, report, claims and digest are folds over this stream. Events are ordered by emission; their
times are integer nanoseconds since the Unix epoch (virtual runs have a fixed base).

Source: DESIGN section 5.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all events: a frozen struct of plain values, encoded as the MessagePack array [kind, field, ...]."""


Fold = Callable[[int, Event], None]


class EventStream:
    """Order, digest and hand out the events of one run.

    Args:
        now_ns: reads the run's clock.
        hold_ns: how long events wait for earlier ones of other processes; 0 hands them out at once.

    Invariant: every fold sees every event exactly once, in the same order; `digest` covers time and content of all. With
    `hold_ns` the order is that of time, but for events that come later than that.
    """

    def __init__(self, now_ns: Callable[[], int], *, hold_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._hold_ns = hold_ns
        self._held: list[tuple[int, int, Event]] = []
        self._arrivals = itertools.count()
        self._folds: list[Fold] = []
        self._hash = hashlib.sha256()
        self._encoder = msgspec.msgpack.Encoder()
        self.count = 0

    def subscribe(self, fold: Fold) -> None:
        """Add a fold; it sees the events emitted from now on."""
        self._folds.append(fold)

    def emit(self, event: Event) -> None:
        """Stamp an event with the present time and hand it to every fold."""
        self.emit_at(self._now_ns(), event)

    def emit_at(self, time_ns: int, event: Event) -> None:
        """Hand an event of that time to every fold, at once or when its turn has come (see `release`)."""
        if self._hold_ns:
            heapq.heappush(self._held, (time_ns, next(self._arrivals), event))
        else:
            self._hand_out(time_ns, event)

    def release(self, *, everything: bool = False) -> None:
        """Hand out what was held long enough, or `everything`."""
        limit_ns = self._now_ns() - self._hold_ns
        while self._held and (everything or self._held[0][0] <= limit_ns):
            time_ns, _, event = heapq.heappop(self._held)
            self._hand_out(time_ns, event)

    def _hand_out(self, time_ns: int, event: Event) -> None:
        self._hash.update(self._encoder.encode((time_ns, event)))
        self.count += 1
        for fold in self._folds:
            fold(time_ns, event)

    def digest(self) -> bytes:
        """Return SHA-256 over all events so far (32 bytes)."""
        return self._hash.digest()


def kind_of(event: Event | type[Event]) -> str:
    """Return an event's kind, the first element of its encoding."""
    config: Any = event.__struct_config__
    return str(config.tag)
