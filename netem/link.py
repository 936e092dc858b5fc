"""Pure: one directed link: it judges packets one by one, from fates decided in blocks.

Order for each packet: partition, loss and duplication, damage, then limit, reordering, delay, rate and slots.

Source: DESIGN section 3; tc-netem for the order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netem.fate_blocks import FateBlocks
from netem.fates import Cause, no_drops
from netem.impairments.base import LOST, RUINED, UNUSUAL, Columns
from netem.link_config import NO_RESTS, Exposure, LinkConfig, Rests
from netem.link_line import LinkLine
from netem.randomness import BlockUniforms

__all__ = ["Exposure", "Link", "LinkConfig", "Rests"]

_LOSS = int(Cause.LOSS)
_CORRUPT = int(Cause.CORRUPT)
_PARTITION = int(Cause.PARTITION)


class Link:
    """The directed link from `source` to `target`.

    Args:
        config: what it does; see `reconfigure`.
        source: name of the sending host; with `target` it keys the link's randomness.
        target: name of the receiving host.
        uniforms: the run's block generator.
        link_id: the small integer by which receivers log this link.

    Attributes:
        verdict: `verdict(now_ns, size_bytes)` judges the next packet: it returns its arrival (ns), or -cause.
        number: packets offered so far; the packet just judged has number `number - 1`.
        dropped: drops by `Cause`, copies included.
        duplicated: copies made (those then lost are also in `dropped`).
        corrupted: packets and copies that were let through damaged.
        early: packets and copies that skipped delay and rate.
        delay_ns: the impairments' part of the last arrival; the rest is rate, order, slot and queue.
        unusual: whether the packet just judged has a copy or is damaged; if not, the next four say so too.
        copy_at: arrival (ns) of the copy of the packet just judged, 0 if it has none; set even if the packet itself is
            dropped by the queue.
        copy_delay_ns: the impairments' part of the last `copy_at`.
        damage: where in [0, 1) of its payload a bit of the packet just judged is flipped; -1 if none is.
        copy_damage: likewise for its copy.

    Packet k's fate depends on the run seed, source, target, each impairment's name and occurrence, and k alone.
    """

    __slots__ = (
        "_begin",
        "_blocks",
        "_exposed",
        "_line",
        "_next",
        "_open",
        "_past",
        "_uniforms",
        "_wait",
        "config",
        "copy_at",
        "copy_damage",
        "copy_delay_ns",
        "corrupted",
        "damage",
        "delay_ns",
        "dropped",
        "duplicated",
        "early",
        "link_id",
        "number",
        "source",
        "target",
        "unusual",
        "verdict",
    )

    def __init__(self, config: LinkConfig, *, source: str, target: str, uniforms: BlockUniforms, link_id: int) -> None:
        self.config = config
        self.source = source
        self.target = target
        self.link_id = link_id
        self.number, self._open = 0, True
        self.dropped = no_drops()
        self.duplicated = self.corrupted = self.early = 0
        self.delay_ns = self.copy_delay_ns = 0
        self._uniforms = uniforms
        self._blocks = FateBlocks(config.impairments, source=source, target=target, uniforms=uniforms, seed=config.seed)
        # Takes the next of the fates of packets `_begin` and up; none left moves the window.
        self._next: Callable[[], int] = _NO_MORE
        self._begin = 0
        self._line: LinkLine | None = None
        self.verdict: Callable[[int, int], int] = self._judge
        self._set_line()
        self._past: list[Exposure] = []
        self._exposed = 0

    @property
    def offered(self) -> int:
        """Packets offered so far."""
        return self.number

    @property
    def open(self) -> bool:
        """False while partitioned in this direction."""
        return self._open

    @open.setter  # noqa: A003 - see above
    def open(self, is_open: bool) -> None:
        if is_open and not self._open:
            self._next, self._begin = _NO_MORE, self.number
        self._open = is_open
        self._choose()

    def _choose(self) -> None:
        """Let `verdict` be the shortest way for what the link does now."""
        self._forget()
        if not self._open:
            self.verdict = self._refuse
        elif self._line is not None:
            self._wait = self._line.leave
            self.verdict = self._judge_in_line
        elif self._blocks.fixed_ns >= 0:
            self.delay_ns = self._blocks.fixed_ns
            self.verdict = self._judge_alike
        else:
            self.verdict = self._judge

    def _judge_alike(self, now_ns: int, _size_bytes: int) -> int:
        """Judge a packet of a link that delays all alike."""
        self.number += 1
        return now_ns + self.delay_ns

    def _judge(self, now_ns: int, _size_bytes: int) -> int:
        """Judge a packet that waits for no other."""
        self.number += 1
        take = self._next  # Python looks a method up twice as long
        try:
            delay_ns = take()
        except IndexError:
            delay_ns = self._advance()
        if self.unusual:
            self._forget()
        if delay_ns < 0:
            return self._judge_unusual(delay_ns, now_ns, _size_bytes)
        self.delay_ns = delay_ns
        return now_ns + delay_ns

    def _judge_in_line(self, now_ns: int, size_bytes: int) -> int:
        """Judge a packet that may wait for others."""
        number = self.number
        self.number = number + 1
        take = self._next  # Python looks a method up twice as long
        try:
            delay_ns = take()
        except IndexError:
            delay_ns = self._advance()
        if self.unusual:
            self._forget()
        if delay_ns < 0:
            return self._judge_unusual(delay_ns, now_ns, size_bytes)
        self.delay_ns = delay_ns
        wait = self._wait
        arrival_ns = wait(now_ns, now_ns + delay_ns, size_bytes, number)
        if arrival_ns < 0:
            self.dropped[-arrival_ns] += 1
        return arrival_ns

    def _refuse(self, _now_ns: int, _size_bytes: int) -> int:
        """Drop a packet at a partition."""
        self.number += 1
        self.dropped[_PARTITION] += 1
        return -_PARTITION

    def _forget(self) -> None:
        self.unusual = False
        self.copy_at = 0
        self.damage = self.copy_damage = -1.0

    def _advance(self) -> int:
        """Move the window of fates on to the packet just counted, and return its fate."""
        blocks, number = self._blocks, self.number - 1
        if blocks.fixed_ns >= 0:
            self._begin, self._next = number, ([blocks.fixed_ns] * 64).pop
        else:
            blocks.advance(number)
            self._begin = blocks.begin
            del blocks.fates[blocks.end - number :]  # of packets that a partition stopped
            self._next = blocks.fates.pop
        return self._next()

    def _judge_unusual(self, fate: int, now_ns: int, size_bytes: int) -> int:
        """Judge a packet that is lost, early or damaged, or has a copy."""
        if fate == LOST:
            self.dropped[_LOSS] += 1
            return -_LOSS
        if fate == RUINED:
            self.dropped[_CORRUPT] += 1
            return -_CORRUPT
        assert fate == UNUSUAL
        columns, index = self._blocks.columns, self.number - 1 - self._begin
        if columns.copies is not None and _at(columns.copy, index):
            self.unusual = True
            self.duplicated += 1
            self._judge_copy(columns.copies, index, now_ns, size_bytes)
        arrival_ns, self.damage = self._travel(columns, index, now_ns, size_bytes)
        if self.damage >= 0.0:
            self.unusual = True
        return arrival_ns

    def _judge_copy(self, columns: Columns, index: int, now_ns: int, size_bytes: int) -> None:
        """Judge a copy; as in the kernel it goes on its way before its original."""
        if _at(columns.lost, index):
            self.dropped[_LOSS] += 1
            return
        copy_at, self.copy_damage = self._travel(columns, index, now_ns, size_bytes)
        self.copy_at, self.copy_delay_ns = max(copy_at, 0), self.delay_ns

    def _travel(self, columns: Columns, index: int, now_ns: int, size_bytes: int) -> tuple[int, float]:
        """Return the arrival (or -cause) and the damage of a packet or copy that is not lost."""
        if _at(columns.ruined, index):
            self.dropped[_CORRUPT] += 1
            return -_CORRUPT, -1.0
        early = bool(_at(columns.early, index))
        self.delay_ns = 0 if early else int(_at(columns.delay_ns, index))
        arrival_ns = self._leave(now_ns, self.delay_ns, size_bytes, early=early)
        damage = float(_at(columns.damage, index))
        if arrival_ns > 0:
            self.early += early
            self.corrupted += damage >= 0.0
        return arrival_ns, damage

    def _leave(self, now_ns: int, delay_ns: int, size_bytes: int, *, early: bool) -> int:
        line = self._line
        if line is None:
            return now_ns + delay_ns
        arrival_ns = (
            line.leave_early(now_ns) if early else line.leave(now_ns, now_ns + delay_ns, size_bytes, self.number - 1)
        )
        if arrival_ns < 0:
            self.dropped[-arrival_ns] += 1
        return arrival_ns

    def reconfigure(self, config: LinkConfig) -> None:
        """Change the link between two packets.

        An impairment whose kind stays goes on with its own uniforms, and keeps its state unless that is of another kind then (the
        kernel's draws are no normals), whatever else changes. Arrivals already given stand.
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
            seed=config.seed,
        )
        self._next, self._begin = _NO_MORE, self.number
        self._set_line()

    def exposures(self) -> tuple[Exposure, ...]:
        """Return how many packets met which configuration, in order; configurations that met none are left out."""
        present = Exposure(self.config, self._judged() - self._exposed)
        return (*self._past, present) if present.packets else tuple(self._past)

    def rests(self) -> Rests:
        """Return when the line of the rate stood idle so far; a link without a rate has none."""
        return NO_RESTS if self._line is None else self._line.rests()

    def _judged(self) -> int:
        return self.number - self.dropped[_PARTITION]

    def _set_line(self) -> None:
        if self._line is not None:
            self._line.configure(self.config)
        elif self.config.is_shaped():
            key = self._uniforms.key("slot", self.source, self.target)
            self._line = LinkLine(self.config, uniforms=self._uniforms, key=key)
        self._choose()


_NONE: list[int] = []
_NO_MORE = _NONE.pop


def _at(column: np.ndarray, index: int) -> np.generic:
    """Return one packet's element of a column; one of a single element is the same for all."""
    found: np.generic = column[index if len(column) > 1 else 0]
    return found
