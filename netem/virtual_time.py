"""trio: virtual time, integer nanoseconds that jump from event to event, and deterministic scheduling.

The same seed gives the same run whatever the hash seed or the load of the machine. That needs two private names of trio,
which `schedule_deterministically` alone touches; `tests/netem/test_virtual_time.py` tells when a release breaks it.
"""

from __future__ import annotations

import itertools
import math
import time
from bisect import insort
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any

import trio

from netem.clock import CallAt, Gate, Timer
from netem.errors import LocalProtocolError

VIRTUAL_EPOCH_NS = 1_700_000_000 * 10**9  # fixed, so that two runs have equal timestamps
_FOREVER_S = 10.0**9
_TICK_BITS = 22  # timers are sorted four milliseconds at a time: far fewer to compare than all that are set
_EVENTS_PER_POLL = 2048  # how often a busy pump lets trio look for Ctrl-C


class VirtualTime(trio.abc.Clock):
    """A trio clock that stands still until `run` moves it to the next timer or trio deadline.

    Invariant: time advances only while every task is blocked.
    """

    virtual = True
    base_ns = 0

    def __init__(self) -> None:
        self._now: list[int] = [VIRTUAL_EPOCH_NS]  # a list, so that reading it takes no code of ours
        self.now_ns: Callable[[], int] = partial(self._now.__getitem__, 0)
        self.elapsed_ns = self.now_ns
        # Those before `_near_end_ns`, the next one last: time and number are negative, so that the end of a sorted list is the next.
        self._near: list[Timer] = []
        self._near_end_ns = 0
        self._far: dict[int, list[Timer]] = {}  # the others, by tick, not sorted ...
        self._ticks: list[int] = []  # ... and a heap of these ticks
        self._next = itertools.count(0, -1).__next__
        self.call_at: CallAt = self.through(None)
        self._deadline_s = math.inf  # the next one, as trio last asked about it
        self._released_s = math.inf  # on the wall clock: when `run` ended

    def start_clock(self) -> None:
        """Do nothing: virtual time starts at zero (part of trio's Clock interface)."""

    def current_time(self) -> float:
        """Return virtual seconds since the start (part of trio's Clock interface)."""
        elapsed_s = (self._now[0] - VIRTUAL_EPOCH_NS) / 1e9
        return elapsed_s if self._released_s == math.inf else elapsed_s + max(0.0, time.monotonic() - self._released_s)

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return 0 for a deadline that has come, else for ever (part of trio's Clock interface)."""
        self._deadline_s = deadline
        remaining_s = deadline - self.current_time()
        return 0 if remaining_s <= 0 else _FOREVER_S if math.isinf(self._released_s) else remaining_s

    def through(self, gate: Gate | None) -> CallAt:
        """Return a `call_at` whose timers pass a gate."""

        def call_at(when_ns: int, callback: Callable[..., None], *args: Any) -> None:
            timers = far.get(when_ns >> _TICK_BITS)
            timer = (-when_ns, number(), callback, args, gate)
            if timers is None:
                self._set_elsewhere(when_ns, timer)
            else:
                timers.append(timer)

        far, number = self._far, self._next
        return call_at

    def caller(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Return a function of any arguments, the last of which says when (ns): `callback` is called with them then.

        It spares what sets a timer for every packet a call.
        """

        def call(*args: Any) -> None:
            when_ns = args[-1]
            timers = far.get(when_ns >> _TICK_BITS)
            timer = (-when_ns, number(), callback, args, None)
            if timers is None:
                self._set_elsewhere(when_ns, timer)
            else:
                timers.append(timer)

        far, number = self._far, self._next
        return call

    def _set_elsewhere(self, when_ns: int, timer: Timer) -> None:
        """Set a timer of this tick or before, or the first of a later one."""
        if when_ns < self._near_end_ns:
            insort(self._near, timer)
        else:
            tick = when_ns >> _TICK_BITS
            self._far[tick] = [timer]
            heappush(self._ticks, tick)

    def _next_tick(self) -> list[Timer]:
        """Make the timers of the first tick that has any the near ones; return them, none if none are set."""
        if self._ticks:
            tick = heappop(self._ticks)
            self._near = self._far.pop(tick)
            self._near_end_ns = (tick + 1) << _TICK_BITS
            self._near.sort()
        return self._near

    async def run(self) -> None:
        """Move time from event to event until cancelled; after that it passes by itself, so that clean-up may wait.

        Raises:
            LocalProtocolError: every task waits and no timer or deadline is left, so nothing could ever happen again.
        """
        try:
            await self._jump_along()
        finally:
            self._released_s = time.monotonic()

    async def _jump_along(self) -> None:
        from trio.testing import wait_all_tasks_blocked  # late: it imports pytest where there is one

        wakes = _Wakes()
        trio.lowlevel.add_instrument(wakes)
        await wait_all_tasks_blocked()
        deadline_ns = self._settled_deadline_ns()
        wakes.any = False
        fired = 0
        while True:
            fired = self._fire(wakes, deadline_ns, fired)
            if wakes.any or fired >= _EVENTS_PER_POLL:
                fired = 0
            elif math.isinf(deadline_ns):
                raise LocalProtocolError("virtual time stands still: every task waits and no timer is set")
            else:
                # +1 ns when rounding left the deadline a hair in the future.
                self._now[0] = max(int(deadline_ns), self._now[0] + 1)
            await wait_all_tasks_blocked()
            deadline_ns = self._settled_deadline_ns()
            wakes.any = False

    def _fire(self, wakes: _Wakes, deadline_ns: float, fired: int) -> int:
        """Run timers, moving time along, until a task wakes, it is time to poll, or none is left by the deadline.

        A call per timer or per jump would cost as much as the heap does, so both are done in this one loop.
        """
        near = self._near
        now = self._now
        # Negative, as timers have them.
        now_ns, last_ns = -now[0], -deadline_ns
        limit = fired + _EVENTS_PER_POLL  # of this instant
        while near or (near := self._next_tick()):
            when_ns, _, callback, args, gate = timer = near.pop()
            if when_ns < now_ns:
                if wakes.any or fired >= _EVENTS_PER_POLL or when_ns < last_ns:
                    near.append(timer)
                    break
                now_ns = when_ns
                now[0] = -when_ns
                limit = fired + _EVENTS_PER_POLL
            elif fired >= limit:
                near.append(timer)
                break
            if gate is None or gate.waiting is None:
                callback(*args)
            else:
                gate.waiting.append((callback, args))
            fired += 1
        return fired

    def _settled_deadline_ns(self) -> float:
        """Return the next trio deadline in Unix nanoseconds.

        Once every task is blocked, trio has just asked how long to sleep until it; only tasks change it, and none runs now.
        """
        if math.isinf(self._deadline_s):
            return math.inf
        return max(self._now[0], VIRTUAL_EPOCH_NS + math.ceil(self._deadline_s * 1e9))


class _Wakes(trio.abc.Instrument):
    """Notice that a timer woke a task: asking trio after every timer would cost more than the timer."""

    def __init__(self) -> None:
        self.any = False

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  # trio's signature
        self.any = True


def schedule_deterministically(run_seed: int) -> None:
    """Make trio order runnable tasks by creation and a seeded shuffle, not by address.

    There is no public way: trio keeps the switch for Hypothesis. Call before `trio.run`; it lasts for the process.

    Raises:
        LocalProtocolError: this trio release has no such switch, so virtual runs would not repeat.
    """
    from trio._core import _run

    if not hasattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING") or not hasattr(_run, "_r"):
        raise LocalProtocolError(f"trio {trio.__version__} has no deterministic scheduling switch")
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    _run._r.seed(run_seed)  # noqa: SLF001
