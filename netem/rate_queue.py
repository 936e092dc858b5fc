"""Pure: a byte queue in front of a serialising line: per-link rate, shared uplink, shared downlink.

Source: netem's rate option: departure = max(last departure, entry) + size / rate (DESIGN section 3).
"""

from __future__ import annotations

import math
import sys
from collections import deque

from netem.clock import S

UNLIMITED = sys.maxsize
_INFINITY = math.inf


class RateQueue:
    """Serialise packets first in, first out at a rate, and refuse those beyond a limit of queued bytes.

    Args:
        rate_bytes_per_s: > 0; infinity means no queueing. May be changed at any time: departures already given stand,
            later packets leave after them at the new rate.
        limit_bytes: > 0, bytes admitted and not yet departed; a packet is always admitted to an empty queue. May be
            changed at any time. With `UNLIMITED` the queue need not know what waits, and forgets it.

    `free_ns` is when the line is free: the last departure, 0 before the first.

    Invariants: departures never decrease; fractions of a nanosecond are carried over, so that a busy queue keeps its
    rate exactly.
    """

    __slots__ = ("_carry_ns", "_queued", "_queued_bytes", "free_ns", "limit_bytes", "rate_bytes_per_s")

    def __init__(self, rate_bytes_per_s: float, limit_bytes: int) -> None:
        self.rate_bytes_per_s = rate_bytes_per_s
        self.limit_bytes = limit_bytes
        self._queued: deque[tuple[int, int]] = deque()
        self._queued_bytes = 0
        self.free_ns = 0
        self._carry_ns = 0.0

    def admit(self, now_ns: int, size_bytes: int) -> int:
        """Return when a packet entering at `now_ns` has left, or -1 if it does not fit.

        A packet may be offered with an earlier time than the one before it (jitter); it leaves behind that one.
        """
        rate_bytes_per_s = self.rate_bytes_per_s
        if rate_bytes_per_s == _INFINITY:
            return max(now_ns, self.free_ns)
        free_ns = self.free_ns
        if free_ns <= now_ns:
            free_ns = now_ns
            self._carry_ns = 0.0
            queued = self._queued
            while queued:  # mostly one: `clear` would allocate
                queued.popleft()
            self._queued_bytes = 0
        elif self._queued_bytes + size_bytes > self.limit_bytes and not self._has_room(now_ns, size_bytes):
            return -1
        cost_ns = self._carry_ns + size_bytes * S / rate_bytes_per_s
        whole_ns = int(cost_ns)
        self._carry_ns = cost_ns - whole_ns
        self.free_ns = free_ns = free_ns + whole_ns
        if self.limit_bytes != UNLIMITED:
            self._queued.append((free_ns, size_bytes))
            self._queued_bytes += size_bytes
        return free_ns

    def _has_room(self, now_ns: int, size_bytes: int) -> bool:
        """Forget what has departed, which only a queue that looks full need know."""
        queued = self._queued
        while queued and queued[0][0] <= now_ns:
            self._queued_bytes -= queued.popleft()[1]
        return not queued or self._queued_bytes + size_bytes <= self.limit_bytes
