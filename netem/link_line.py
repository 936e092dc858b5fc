"""Pure: the part of a link where packets wait for one another: limit, order, rate and slots, one packet after the other.

Source: DESIGN section 3; `netem_enqueue` of Linux `sch_netem.c` for their order.
"""

from __future__ import annotations

import functools
import heapq
import math
import sys
from collections import deque
from collections.abc import Callable

from netem.fates import Cause
from netem.link_config import LinkConfig, Rests
from netem.randomness import BlockUniforms
from netem.rate_queue import RateQueue
from netem.slot import SlotGate

_LINK_QUEUE = int(Cause.LINK_QUEUE)
_LIMIT = int(Cause.LIMIT)
_RESTS_KNOWN = 256
_MOST_RESTS = 2 * _RESTS_KNOWN  # when the earlier half is forgotten


class LinkLine(RateQueue):
    """What packets of one link wait for; it may be changed live, and what was admitted leaves as it was told.

    The queue of its rate counts bytes as the rate does, with overhead and cells.

    Args:
        config: the link's.
        uniforms: the run's block generator.
        key: of the slots' times.

    `leave(now_ns, ready_ns, size_bytes, number=0)` returns when a packet leaves, or -cause: one that comes at `now_ns` and has its
    delay behind it at `ready_ns`. Its number on the link is asked for where rests are.
    """

    __slots__ = (
        "_departures",
        "_gate",
        "_idle_ns",
        "_key",
        "_last_ns",
        "_most",
        "_note",
        "_ordered",
        "_rate",
        "_rests",
        "_sizes",
        "_uniforms",
        "leave",
    )

    def __init__(self, config: LinkConfig, *, uniforms: BlockUniforms, key: bytes) -> None:
        self._uniforms = uniforms
        self._key = key
        super().__init__(config.rate_bytes_per_s, config.queue_limit_bytes())
        # As far as there is a limit: of those that wait, and some that have left. A heap, unless all leave in order.
        self._departures: deque[int] | list[int] = []
        self._last_ns = 0
        self._gate: SlotGate | None = None
        self._rests: list[tuple[int, int]] = []
        self._idle_ns = 0  # in rests before these
        self.configure(config)

    def configure(self, config: LinkConfig) -> None:
        """Follow a live change; slots that stay the same go on."""
        limit = config.limit()
        in_order = config.rate_bytes_per_s != math.inf or config.ordered or config.slot is not None
        departures = sorted(self._departures)
        self._departures = deque(departures) if in_order else departures
        self._note: Callable[[int], None] | None = None
        if limit is not None:
            self._note = self._departures.append if in_order else functools.partial(heapq.heappush, departures)
        self._most = sys.maxsize if limit is None else limit
        self._ordered = config.ordered
        self._rate = config.rated_bytes
        self._sizes: dict[int, int] = {}  # bytes for the rate, by size: packets come in few sizes
        self.rate_bytes_per_s = config.rate_bytes_per_s
        self.limit_bytes = config.queue_limit_bytes()
        finite = config.rate_bytes_per_s != math.inf
        plain = finite and limit is not None and not config.ordered and config.slot is None
        self.leave: Callable[..., int] = self._leave_plain if plain else self._leave
        if config.slot is None:
            self._gate = None
        elif self._gate is None or self._gate.slot != config.slot:
            self._gate = SlotGate(config.slot, uniforms=self._uniforms, key=self._key)

    def _leave_plain(self, now_ns: int, ready_ns: int, size_bytes: int, number: int = 0) -> int:
        """Let a packet wait for the rate alone: as `admit` does, without its call and its queue."""
        departures = self._departures
        if len(departures) >= self._most and self._is_full(now_ns):
            return -_LIMIT
        if size_bytes != self._size_bytes:
            self._take_size(size_bytes)
        free_ns = self.free_ns
        if free_ns > ready_ns:
            cost_ns = self._carry_ns + self._size_ns
            whole_ns = int(cost_ns)
            self._carry_ns = cost_ns - whole_ns
            self.free_ns = leaves_ns = free_ns + whole_ns
        else:
            self._carry_ns = self._fraction_ns
            self.free_ns = leaves_ns = ready_ns + self._whole_ns
            idle_ns = ready_ns - free_ns
            if idle_ns and free_ns:
                rests = self._rests
                rests.append((number, idle_ns))
                if len(rests) == _MOST_RESTS:
                    self._idle_ns += _forget_earlier(rests)
        departures.append(leaves_ns)
        return leaves_ns

    def _leave(self, now_ns: int, ready_ns: int, size_bytes: int, number: int = 0) -> int:
        """Let a packet wait for all that the link has."""
        if len(self._departures) >= self._most and self._is_full(now_ns):
            return -_LIMIT
        free_ns = self.free_ns
        # Without a rate this only keeps it from overtaking those that still wait for a rate that was taken away.
        leaves_ns = self.admit(ready_ns, size_bytes)
        if leaves_ns < 0:
            return -_LINK_QUEUE
        if self._ordered:
            self._last_ns = leaves_ns = max(leaves_ns, self._last_ns)
        if self._gate is not None:
            leaves_ns = self._gate.leave(now_ns, leaves_ns, size_bytes)
        if 0 < free_ns < ready_ns:
            rests = self._rests
            rests.append((number, ready_ns - free_ns))
            if len(rests) == _MOST_RESTS:
                self._idle_ns += _forget_earlier(rests)
        if self._note is not None:
            self._note(leaves_ns)
        return leaves_ns

    def rests(self) -> Rests:
        """Return when the line of the rate stood idle so far."""
        late = self._rests.copy()
        return Rests(self._idle_ns + _forget_earlier(late), tuple(late))

    def leave_early(self, now_ns: int) -> int:
        """Return when an early packet leaves: at once, past rate and order; -cause if the limit is reached."""
        return -_LIMIT if len(self._departures) >= self._most and self._is_full(now_ns) else now_ns

    def _rated(self, size_bytes: int) -> int:
        rated = self._sizes.get(size_bytes)
        if rated is None:
            rated = self._sizes[size_bytes] = self._rate(size_bytes)
        return rated

    def _is_full(self, now_ns: int) -> bool:
        """Forget what has left, which only a line that looks full need know."""
        departures = self._departures
        if isinstance(departures, deque):
            while departures and departures[0] <= now_ns:
                departures.popleft()
        else:
            while departures and departures[0] <= now_ns:
                heapq.heappop(departures)
        return len(departures) >= self._most


def _forget_earlier(rests: list[tuple[int, int]]) -> int:
    """Keep the last `_RESTS_KNOWN` only; return how long the others were in all."""
    earlier = max(len(rests) - _RESTS_KNOWN, 0)
    idle_ns = sum(idle_ns for _, idle_ns in rests[:earlier])
    del rests[:earlier]
    return idle_ns
