"""Pure: the narrow interface through which everything reaches time and timers.

Node code uses `now_ns`, `call_at` and trio's own sleeps and deadlines, nothing else, so that the two clocks (`real_time`,
`virtual_time`) run the same code and a faster virtual kernel can replace ours later.

A timer is never cancelled: a callback that is no longer wanted finds that out for itself. Callbacks are synchronous, may
not wait, and run in (time, order of `call_at`) order.

Source: DESIGN section 3.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, Protocol

S = 10**9  # nanoseconds in a second


class CallAt(Protocol):
    """A way to set timers."""

    def __call__(self, when_ns: int, callback: Callable[..., None], *args: Any) -> None:
        """Run `callback(*args)` at `when_ns`, or as soon as possible if that has passed."""
        ...


class Gate:
    """What a host's timers pass when they are due: while it is shut, they wait in it.

    `waiting` is None while it is open.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = None


class Clock(Protocol):
    """What a node may ask of time."""

    virtual: bool
    base_ns: int  # `now_ns()` is `base_ns + elapsed_ns()`: who asks for every packet adds it up without a call more

    def elapsed_ns(self) -> int:
        """Return the present time less `base_ns`."""
        ...

    def now_ns(self) -> int:
        """Return the present time in nanoseconds since the Unix epoch; it never steps back."""
        ...

    def call_at(self, when_ns: int, callback: Callable[..., None], *args: Any) -> None:
        """Set a timer (see `CallAt`)."""
        ...


class TrueClock(Clock, Protocol):
    """What the network asks of time."""

    def through(self, gate: Gate) -> CallAt:
        """Return a `call_at` whose timers pass a gate."""
        ...

    def caller(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Return a function of any arguments, the last of which says when (ns): `callback` is called with them then."""
        ...


Timer = tuple[int, int, Callable[..., None], tuple[Any, ...], Gate | None]


class TimerHeap:
    """Timers ordered by (time, order of arrival)."""

    def __init__(self) -> None:
        self.heap: list[Timer] = []
        self._next = itertools.count().__next__

    def push(
        self, when_ns: int, callback: Callable[..., None], args: tuple[Any, ...], *, gate: Gate | None = None
    ) -> None:
        """Add a timer."""
        heapq.heappush(self.heap, (when_ns, self._next(), callback, args, gate))

    def fire_until(self, limit_ns: int, *, most: int) -> int:
        """Run at most `most` timers due by `limit_ns`, in order; return how many ran."""
        heap = self.heap
        pop = heapq.heappop
        fired = 0
        while heap and heap[0][0] <= limit_ns and fired < most:
            _, _, callback, args, gate = pop(heap)
            if gate is None or gate.waiting is None:
                callback(*args)
            else:
                gate.waiting.append((callback, args))
            fired += 1
        return fired
