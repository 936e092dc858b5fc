"""Pure: one directed link: it judges packets one by one, from fates decided in blocks.

Order for each packet: partition, then impairments (loss, delay, duplicate), then the link's rate and queue.

Source: DESIGN section 3; tc-netem for the order and the rate.
"""

from __future__ import annotations

import functools
import math
from collections import deque

from netem.fate_blocks import FateBlocks
from netem.fates import Cause, no_drops
from netem.impairments.base import LOST, NO_COPY
from netem.link_config import NO_RESTS, Exposure, LinkConfig, Rests
from netem.randomness import BlockUniforms
from netem.rate_queue import RateQueue

__all__ = ["Exposure", "Link", "LinkConfig", "Rests"]

_LOSS = int(Cause.LOSS)
_LINK_QUEUE = int(Cause.LINK_QUEUE)
_PARTITION = int(Cause.PARTITION)
_RESTS_KNOWN = 256


@functools.lru_cache(maxsize=64)
def _constant(delay_ns: int) -> list[int]:
    """Return a window of equal fates, one for all links that have it."""
    return [delay_ns] * 4096


class Link:
    """The directed link from `source` to `target`.

    Args:
        config: what it does; see `reconfigure`.
        source: name of the sending host; with `target` it keys the link's randomness.
        target: name of the receiving host.
        uniforms: the run's block generator.
        link_id: the small integer by which receivers log this link.

    Attributes:
        number: packets offered so far; the packet just judged has number `number - 1`.
        open: False while partitioned in this direction.
        dropped: drops by `Cause`, copies included.
        duplicated: copies made (those then lost are also in `dropped`).
        delay_ns: the impairments' part of the last arrival; the rest is rate and queue.
        copy_at: arrival (ns) of the copy of the packet just judged, 0 if it has none; set even if the packet itself is
            dropped by the queue.
        copy_delay_ns: the impairments' part of the last `copy_at`.

    Packet k's fate depends on the run seed, source, target, each impairment's name and occurrence, and k alone.
    """

    __slots__ = (
        "_begin",
        "_blocks",
        "_exposed",
        "_fates",
        "_idle_ns",
        "_past",
        "_plain",
        "_queue",
        "_rests",
        "_uniforms",
        "config",
        "copy_at",
        "copy_delay_ns",
        "delay_ns",
        "dropped",
        "duplicated",
        "link_id",
        "number",
        "open",
        "source",
        "target",
    )

    def __init__(self, config: LinkConfig, *, source: str, target: str, uniforms: BlockUniforms, link_id: int) -> None:
        self.config = config
        self.source = source
        self.target = target
        self.link_id = link_id
        self.number, self.open = 0, True
        self.dropped = no_drops()
        self.duplicated = 0
        self.delay_ns = 0
        self.copy_at = 0
        self.copy_delay_ns = 0
        self._uniforms = uniforms
        self._blocks = FateBlocks(config.impairments, source=source, target=target, uniforms=uniforms)
        self._fates: list[int] = []  # of packets `_begin` and up; the first beyond moves the window
        self._begin = 0
        self._plain = False  # neither queue nor copies in this window
        self._queue: RateQueue | None = None
        self._set_rate()
        self._past: list[Exposure] = []
        self._exposed = 0

    @property
    def offered(self) -> int:
        """Packets offered so far."""
        return self.number

    def verdict(self, now_ns: int, size_bytes: int) -> int:
        """Judge the next packet: return its arrival (ns), or -cause; its copy's arrival is left in `copy_at`."""
        number = self.number
        self.number = number + 1
        if not self.open:
            self.copy_at = 0
            self.dropped[_PARTITION] += 1
            return -_PARTITION
        try:
            delay_ns = self._fates[number - self._begin]
        except IndexError:
            delay_ns = self._advance(number)
        if delay_ns < 0:
            self.copy_at = 0
            self.dropped[_LOSS] += 1
            return -_LOSS
        self.delay_ns = delay_ns
        if self._plain:
            return now_ns + delay_ns
        return self._serialise_and_copy(number, now_ns, size_bytes)

    def _advance(self, number: int) -> int:
        """Move the window of fates on to a packet, and return its fate."""
        blocks = self._blocks
        if blocks.fixed_ns >= 0:
            self._begin, self._fates = number, _constant(blocks.fixed_ns)
        else:
            blocks.advance(number)
            self._begin, self._fates = blocks.begin, blocks.fates
        self.copy_at = 0
        self._plain = self._queue is None and not blocks.copies
        return self._fates[number - self._begin]

    def _serialise_and_copy(self, number: int, now_ns: int, size_bytes: int) -> int:
        self.copy_at = 0
        arrival_ns = now_ns + self.delay_ns
        if self._queue is not None:
            arrival_ns = self._serialise(arrival_ns, size_bytes)
        if (copies := self._blocks.copies) and (copy_ns := copies[number - self._begin]) != NO_COPY:
            self._copy(now_ns, copy_ns, size_bytes)
        return arrival_ns

    def reconfigure(self, config: LinkConfig) -> None:
        """Change the link between two packets.

        An impairment whose kind stays keeps its state and goes on with its own uniforms, whatever else changes.
        Arrivals already given stand.
        """
        self._past[:] = self.exposures()
        self._exposed = self._judged()
        self.config = config
        self._blocks = FateBlocks(
            config.impairments,
            source=self.source,
            target=self.target,
            uniforms=self._uniforms,
            number=self.number,
            states=self._blocks.states_at(self.number),
        )
        self._fates, self._begin = [], self.number
        self._set_rate()

    def exposures(self) -> tuple[Exposure, ...]:
        """Return how many packets met which configuration, in order; configurations that met none are left out."""
        present = Exposure(self.config, self._judged() - self._exposed)
        return (*self._past, present) if present.packets else tuple(self._past)

    def _judged(self) -> int:
        return self.number - self.dropped[_PARTITION]

    def _set_rate(self) -> None:
        config = self.config
        if self._queue is not None:
            self._queue.rate_bytes_per_s = config.rate_bytes_per_s
            self._queue.limit_bytes = config.queue_bytes
        elif config.rate_bytes_per_s != math.inf:
            self._queue = RateQueue(config.rate_bytes_per_s, config.queue_bytes)
            self._rests: deque[tuple[int, int]] = deque()
            self._idle_ns = 0

    def _serialise(self, entry_ns: int, size_bytes: int) -> int:
        assert self._queue is not None
        free_ns = self._queue.free_ns
        arrival_ns = self._queue.admit(entry_ns, size_bytes)
        if arrival_ns < 0:
            self.dropped[_LINK_QUEUE] += 1
            return -_LINK_QUEUE
        if 0 < free_ns < entry_ns:
            self._rest(entry_ns - free_ns)
        return arrival_ns

    def _rest(self, idle_ns: int) -> None:
        if len(self._rests) == _RESTS_KNOWN:
            self._idle_ns += self._rests.popleft()[1]
        self._rests.append((self.number - 1, idle_ns))

    def rests(self) -> Rests:
        """Return when the line of the rate stood idle so far; a link without a rate has none."""
        return NO_RESTS if self._queue is None else Rests(self._idle_ns, tuple(self._rests))

    def _copy(self, now_ns: int, delay_ns: int, size_bytes: int) -> None:
        self.duplicated += 1
        if delay_ns == LOST:
            self.dropped[_LOSS] += 1
            return
        self.copy_delay_ns = delay_ns
        arrival_ns = now_ns + delay_ns
        if self._queue is not None:
            arrival_ns = max(self._serialise(arrival_ns, size_bytes), 0)
        self.copy_at = arrival_ns
