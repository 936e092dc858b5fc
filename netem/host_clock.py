"""Pure: the time of one host: the run's, unless its clock is wrong or its process stands still.

The network, the tracker and the bank keep true time; a node reads this clock. trio's sleeps and time-outs are true time always.

Source: DESIGN section 3 (per-node clock offset and drift, pause).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netem.clock import CallAt, Gate, S, TrueClock

LARGEST_OFFSET_S = 10.0**9
LARGEST_DRIFT_PPM = 100_000.0


class HostClock:
    """A clock that may be wrong by an offset and a drift, and whose timers may be frozen.

    Args:
        clock: true time.

    Ask for `now_ns`, `elapsed_ns` and `call_at` anew each time: they are replaced when the clock becomes wrong, so that a right one
    costs nothing. `call_at` counts in the time that the clock shows. A timer that is set keeps its true time when the clock is changed later, as a kernel's does; a change may step `now_ns` back.
    """

    def __init__(self, clock: TrueClock) -> None:
        self.virtual = clock.virtual
        self.base_ns = clock.base_ns
        self._clock = clock
        self._skews: dict[
            int, tuple[int, int, int]
        ] = {}  # by serial: offset (ns), drift (parts per 10^9), since (true ns)
        self._offset_ns = self._drift = self._lead = 0
        self._gate = Gate()
        self._call_at = clock.through(self._gate)
        self.now_ns: Callable[[], int] = clock.now_ns
        self.elapsed_ns: Callable[[], int] = clock.elapsed_ns
        self.call_at: CallAt = self._call_at

    def freeze(self) -> None:
        """Let no timer fire."""
        self._gate.waiting = []

    def thaw(self) -> None:
        """Fire the timers that came due meanwhile, in order."""
        waiting, self._gate.waiting = self._gate.waiting, None
        for callback, args in waiting or ():
            callback(*args)

    def add_skew(self, serial: int, *, offset_ns: int, drift_ppb: int) -> None:
        """Let the clock be wrong by an offset, and more so by `drift_ppb` ns each second from now on. Skews add up."""
        self._skews[serial] = (offset_ns, drift_ppb, self._clock.now_ns())
        self._sum_up()

    def remove_skew(self, serial: int) -> None:
        """Take a skew back, with what its drift has brought."""
        self._skews.pop(serial, None)
        self._sum_up()

    def _sum_up(self) -> None:
        skews = self._skews.values()
        self._offset_ns = sum(offset_ns for offset_ns, _, _ in skews)
        self._drift = sum(drift for _, drift, _ in skews)
        self._lead = sum(drift * since_ns for _, drift, since_ns in skews)
        self.now_ns = self._skewed_ns if self._skews else self._clock.now_ns
        self.elapsed_ns = self._skewed_elapsed_ns if self._skews else self._clock.elapsed_ns
        self.call_at = self._skewed_call_at if self._skews else self._call_at

    def _skewed_call_at(self, when_ns: int, callback: Callable[..., None], *args: Any) -> None:
        self._call_at(self._true_ns(when_ns), callback, *args)

    def _skewed_ns(self) -> int:
        true_ns = self._clock.now_ns()
        return true_ns + self._offset_ns + (true_ns * self._drift - self._lead) // S

    def _skewed_elapsed_ns(self) -> int:
        return self._skewed_ns() - self.base_ns

    def _true_ns(self, shown_ns: int) -> int:
        """Return the first time at which the clock shows at least `shown_ns`."""
        return -((S * (self._offset_ns - shown_ns) - self._lead) // (S + self._drift))
