"""trio: one kernel timer that a trio task can wait on, finer than trio's own millisecond.

Linux has timerfd (through ctypes before Python 3.13); elsewhere a cancel scope whose deadline moves stands in for it.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import sys
import time
from typing import Protocol

import trio

from netem.promptness import ask_for_short_slices

_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000
_ABSTIME = 1
_PR_SET_TIMERSLACK = 29


class Alarm(Protocol):
    """A settable alarm on the monotonic clock."""

    def arm(self, monotonic_ns: int) -> None:
        """Ring at this time on `time.monotonic_ns`; it replaces the time set before."""
        ...

    async def wait(self) -> None:
        """Wait until the alarm rings."""
        ...

    def close(self) -> None:
        """Free the alarm."""
        ...


class _Timespec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class TimerFd:
    """A Linux timerfd on CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, _CLOEXEC_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        # The default slack of 50 us would be the largest part of every departure's error.
        self._libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        ask_for_short_slices()  # nor should it wait for others' turns to end
        self._rung = False
        # Made once, as the alarm is set for every wake-up.
        self._spec = _Itimerspec(_Timespec(0, 0), _Timespec(0, 0))
        self._value = self._spec.value
        self._set = functools.partial(self._libc.timerfd_settime, self._fd, _ABSTIME, ctypes.byref(self._spec), None)

    def arm(self, monotonic_ns: int) -> None:
        """Ring at `monotonic_ns`; a time that has passed rings at once."""
        self._value.sec, self._value.nsec = divmod(max(1, monotonic_ns), 10**9)
        self._rung = False  # setting the timer also takes back that it rang
        if self._set() < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    async def wait(self) -> None:
        """Wait until the timer has expired."""
        if self._rung:
            os.read(self._fd, 8)
        await trio.lowlevel.wait_readable(self._fd)
        self._rung = True

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


class SleepingAlarm:
    """The portable fallback: one cancel scope whose deadline moves; about a millisecond late."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None
        self._deadline = math.inf

    def arm(self, monotonic_ns: int) -> None:
        """Move the deadline of the wait."""
        self._deadline = trio.current_time() + (monotonic_ns - time.monotonic_ns()) / 1e9
        if self._scope is not None:
            self._scope.deadline = self._deadline

    async def wait(self) -> None:
        """Wait until the deadline."""
        with trio.CancelScope(deadline=self._deadline) as self._scope:
            await trio.sleep_forever()
        self._scope = None
        self._deadline = math.inf

    def close(self) -> None:
        """Do nothing: there is no resource."""


def open_alarm() -> Alarm:
    """Return the best alarm that this platform has."""
    return TimerFd() if sys.platform == "linux" else SleepingAlarm()
