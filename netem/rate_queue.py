"""Pure: a byte queue in front of a serialising line: per-link rate, shared uplink, shared downlink.

Source: netem's rate option: departure = max(last departure, entry) + size / rate (DESIGN section 3).
"""

from __future__ import annotations

import functools
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

    __slots__ = (
        "_carry_ns",
        "_first_bytes",
        "_fraction_ns",
        "_limit_bytes",
        "_queued",
        "_queued_bytes",
        "_rate_bytes_per_s",
        "_rated_bytes",
        "_size_bytes",
        "_size_ns",
        "_whole_ns",
        "free_ns",
    )

    def __init__(self, rate_bytes_per_s: float, limit_bytes: int) -> None:
        self.rate_bytes_per_s = rate_bytes_per_s
        self._limit_bytes = limit_bytes
        self._queued: deque[tuple[int, int]] = deque()  # when each departs, and its bytes
        self._queued_bytes = 0
        self._first_bytes = 0  # of the one packet that found the line free, as long as none came after it; then 0
        self.free_ns = 0
        self._carry_ns = 0.0

    @property
    def rate_bytes_per_s(self) -> float:
        """The rate."""
        return self._rate_bytes_per_s

    @rate_bytes_per_s.setter
    def rate_bytes_per_s(self, rate_bytes_per_s: float) -> None:
        self._rate_bytes_per_s = rate_bytes_per_s
        self._size_bytes = -1  # of the last packet, whose times are known

    @property
    def limit_bytes(self) -> int:
        """The limit."""
        return self._limit_bytes

    @limit_bytes.setter
    def limit_bytes(self, limit_bytes: int) -> None:
        if self._first_bytes:
            self._queue_first()
        self._limit_bytes = limit_bytes

    def _take_size(self, size_bytes: int) -> None:
        """Note what a packet takes, as many of one size follow each other."""
        self._size_bytes = size_bytes
        self._rated_bytes = self._rated(size_bytes)
        self._size_ns, self._whole_ns, self._fraction_ns = _times_ns(self._rated_bytes, self._rate_bytes_per_s)

    def _rated(self, size_bytes: int) -> int:
        """Return the bytes that the rate takes time for, and the limit counts."""
        return size_bytes

    def admit(self, now_ns: int, size_bytes: int) -> int:
        """Return when a packet entering at `now_ns` has left, or -1 if it does not fit.

        A packet may be offered with an earlier time than the one before it (jitter); it leaves behind that one.
        """
        free_ns = self.free_ns
        if size_bytes != self._size_bytes:  # always so without a rate
            if self._rate_bytes_per_s == _INFINITY:
                return now_ns if now_ns > free_ns else free_ns  # noqa: FURB136 - per packet, a call costs more
            self._take_size(size_bytes)
        if free_ns <= now_ns:
            self._first_bytes = self._rated_bytes
            self._carry_ns = self._fraction_ns
            self.free_ns = free_ns = now_ns + self._whole_ns
            return free_ns
        limited = self._limit_bytes != UNLIMITED
        if limited:
            if self._first_bytes:
                self._queue_first()
            size_bytes = self._rated_bytes
            if self._queued_bytes + size_bytes > self._limit_bytes and not self._has_room(now_ns, size_bytes):
                return -1
        cost_ns = self._carry_ns + self._size_ns
        whole_ns = int(cost_ns)
        self._carry_ns = cost_ns - whole_ns
        self.free_ns = free_ns = free_ns + whole_ns
        if limited:
            self._queued.append((free_ns, size_bytes))
            self._queued_bytes += size_bytes
        return free_ns

    def _queue_first(self) -> None:
        """Forget what departed before the line was free, and let the packet that found it so be the queue."""
        while self._queued:  # `clear` would allocate
            self._queued.popleft()
        self._queued_bytes = 0
        if self._limit_bytes != UNLIMITED:
            self._queued.append((self.free_ns, self._first_bytes))
            self._queued_bytes = self._first_bytes
        self._first_bytes = 0

    def _has_room(self, now_ns: int, size_bytes: int) -> bool:
        """Forget what has departed, which only a queue that looks full need know."""
        queued = self._queued
        while queued and queued[0][0] <= now_ns:
            self._queued_bytes -= queued.popleft()[1]
        return not queued or self._queued_bytes + size_bytes <= self._limit_bytes


@functools.lru_cache(maxsize=4096)
def _times_ns(size_bytes: int, rate_bytes_per_s: float) -> tuple[float, int, float]:
    """Return how long a packet takes, its whole nanoseconds and their fraction: to reckon it costs more than all the rest."""
    size_ns = size_bytes * S / rate_bytes_per_s
    whole_ns = int(size_ns)
    return size_ns, whole_ns, size_ns - whole_ns
