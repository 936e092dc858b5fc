"""trio: wall-clock time and the timers of a process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import trio

from netem.clock import CallAt, Gate, TimerHeap
from netem.timerfd import open_alarm

COALESCE_NS = 50_000  # a timer may fire this much early, or late, to share a wake-up: that costs more than a timer
MOST_AT_ONCE = 64
_TURN_NS = 2_000_000  # how long timers fire, under load, before sockets and tasks get their turn


class RealTime:
    """Time that passes by itself; timers fire from one heap and one kernel timer.

    Args:
        base_ns: Unix time minus the kernel's monotonic clock; None reads it now. Processes of one machine that share it agree
            on the time to the nanosecond.
    """

    virtual = False
    elapsed_ns = staticmethod(time.monotonic_ns)

    def __init__(self, base_ns: int | None = None) -> None:
        self.base_ns = time.time_ns() - time.monotonic_ns() if base_ns is None else base_ns
        self._timers = TimerHeap()
        self._alarm = open_alarm()
        self._armed_ns = sys.maxsize  # no alarm is set
        self._turn_took_ns = 0  # at least: the last turn of the event loop, with what tasks did in it
        self._next_turn_ns = 0  # what was due by COALESCE_NS before this has fired
        self._firing = False
        self._halted = False

    def now_ns(self) -> int:
        """Return Unix nanoseconds that never step: the wall clock at the start plus monotonic time since."""
        return self.base_ns + time.monotonic_ns()

    def call_at(self, when_ns: int, callback: Callable[..., None], *args: Any) -> None:
        """Set a timer (see `CallAt`)."""
        self._set(when_ns, callback, args, gate=None)

    def through(self, gate: Gate) -> CallAt:
        """Return a `call_at` whose timers pass a gate."""

        def call_at(when_ns: int, callback: Callable[..., None], *args: Any) -> None:
            self._set(when_ns, callback, args, gate=gate)

        return call_at

    def caller(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Return a function of any arguments, the last of which says when (ns): `callback` is called with them then."""
        return lambda *args: self._set(args[-1], callback, args, gate=None)

    def _set(self, when_ns: int, callback: Callable[..., None], args: tuple[Any, ...], *, gate: Gate | None) -> None:
        self._timers.push(when_ns, callback, args, gate=gate)
        if not self._firing and when_ns < self._armed_ns - COALESCE_NS:
            self._arm(when_ns)

    def halt(self) -> None:
        """Fire no more timers: what is under way stays in flight, so that several processes can count at their leisure."""
        self._halted = True

    def _arm(self, when_ns: int) -> None:
        self._armed_ns = when_ns
        self._alarm.arm(when_ns - self.base_ns)

    async def run(self) -> None:
        """Fire timers until cancelled, then free the kernel timer."""
        heap = self._timers.heap
        try:
            while True:
                self._firing = True
                more = self._fire()
                self._firing = False
                if more:
                    await trio.lowlevel.checkpoint()
                elif heap and not self._halted:
                    await self._wait_until(max(heap[0][0], self._next_turn_ns))
                else:
                    self._armed_ns = sys.maxsize
                    await self._alarm.wait()
        finally:
            self._alarm.close()

    async def _wait_until(self, due_ns: int) -> None:
        """Wait until a timer is due, or for a turn of the event loop, if it is so busy that this should take longer.

        Then setting an alarm would cost two system calls for nothing. In a loop that was busy, and is no more, some turns are in vain,
        each half as far from the time as the one before: who comes first in a turn is random, so that one short turn says little.
        """
        now_ns = self.now_ns()
        if due_ns < now_ns + self._turn_took_ns:
            self._armed_ns = due_ns
            await trio.lowlevel.checkpoint()
            self._turn_took_ns = max(self.now_ns() - now_ns, self._turn_took_ns // 2)
        else:
            self._arm(due_ns)
            await self._alarm.wait()
            self._turn_took_ns = self.now_ns() - self._armed_ns

    def _fire(self) -> bool:
        """Run what is due, for one turn; say whether the turn ended first."""
        now_ns = self.now_ns()
        end_ns = now_ns + _TURN_NS
        while not self._halted and now_ns < end_ns:
            if self._timers.fire_until(now_ns + COALESCE_NS, most=MOST_AT_ONCE) < MOST_AT_ONCE:
                self._next_turn_ns = now_ns + 2 * COALESCE_NS
                return False
            now_ns = self.now_ns()
        return not self._halted
