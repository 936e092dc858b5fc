"""Pure: the part of a link where packets wait for one another: limit, order, rate and slots, one packet after the other.

Source: DESIGN section 3; `netem_enqueue` of Linux `sch_netem.c` for their order.
"""

from __future__ import annotations

import heapq
import math

from netem.fates import Cause
from netem.link_config import LinkConfig
from netem.randomness import BlockUniforms
from netem.rate_queue import RateQueue
from netem.slot import SlotGate

_LINK_QUEUE = int(Cause.LINK_QUEUE)
_LIMIT = int(Cause.LIMIT)


class LinkLine:
    """What packets of one link wait for; it may be changed live, and what was admitted leaves as it was told.

    Args:
        config: the link's.
        uniforms: the run's block generator.
        key: of the slots' times.
    """

    __slots__ = ("_config", "_departures", "_gate", "_key", "_last_ns", "_limit", "_plain_sizes", "_queue", "_uniforms")

    def __init__(self, config: LinkConfig, *, uniforms: BlockUniforms, key: bytes) -> None:
        self._uniforms = uniforms
        self._key = key
        self._queue = RateQueue(config.rate_bytes_per_s, config.queue_limit_bytes())
        self._departures: list[int] = []  # a heap: those that still wait, as far as there is a limit
        self._last_ns = 0
        self._gate: SlotGate | None = None
        self.configure(config)

    def configure(self, config: LinkConfig) -> None:
        """Follow a live change; slots that stay the same go on."""
        self._config = config
        self._limit = config.limit()
        self._plain_sizes = not (config.overhead_bytes or config.cell_bytes)
        self._queue.rate_bytes_per_s = config.rate_bytes_per_s
        self._queue.limit_bytes = config.queue_limit_bytes()
        if config.slot is None:
            self._gate = None
        elif self._gate is None or self._gate.slot != config.slot:
            self._gate = SlotGate(config.slot, uniforms=self._uniforms, key=self._key)

    def admit(self, now_ns: int, ready_ns: int, size_bytes: int) -> int:
        """Return when a packet leaves, or -cause.

        Args:
            now_ns: when it comes.
            ready_ns: when its delay is over; `now_ns` for an early one.
            size_bytes: its size.
        """
        if self._limit is not None and self._is_full(now_ns):
            return -_LIMIT
        config = self._config
        if config.rate_bytes_per_s == math.inf:
            # Those still in the queue of a rate that was taken away are not overtaken.
            ready_ns = self._queue.admit(ready_ns, size_bytes)
            if config.ordered:
                self._last_ns = ready_ns = max(ready_ns, self._last_ns)
        else:
            rated_bytes = size_bytes if self._plain_sizes else config.rated_bytes(size_bytes)
            ready_ns = self._queue.admit(ready_ns, rated_bytes)
            if ready_ns < 0:
                return -_LINK_QUEUE
        if self._gate is not None:
            ready_ns = self._gate.leave(now_ns, ready_ns, size_bytes)
        if self._limit is not None:
            heapq.heappush(self._departures, ready_ns)
        return ready_ns

    def admit_early(self, now_ns: int) -> int:
        """Return when an early packet leaves: at once, past rate and order; -cause if the limit is reached."""
        return -_LIMIT if self._limit is not None and self._is_full(now_ns) else now_ns

    def _is_full(self, now_ns: int) -> bool:
        departures = self._departures
        while departures and departures[0] <= now_ns:
            heapq.heappop(departures)
        return self._limit is not None and len(departures) >= self._limit
