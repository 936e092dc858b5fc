"""Pure: the fates of one link's packets, decided a block at a time from keyed uniforms.

Blocks have 64, 128, ... 4096, 4096, ... packets: small first, as most links carry few.

Source: DESIGN section 3 (decisions in blocks).
"""

from __future__ import annotations

import functools
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from netem.impairments.base import Columns, Impairment
from netem.randomness import BlockUniforms

_FIRST_BLOCK = 64
_LAST_BLOCK = 4096
_DOUBLINGS = 6
_BEFORE_LAST = _LAST_BLOCK - _FIRST_BLOCK  # packets in all blocks smaller than the last size
_NO_UNIFORMS = np.empty((0, 0))
_NO_COLUMNS = Columns(0, copying=False)
_NO_FATES = array("q")

Instance = tuple[str, int]
State = tuple[str, float]  # its kind, and what it is
_NO_STATE: State = "", 0.0
_NONE_GIVEN: Mapping[Instance, State] = {}


class FateBlocks:
    """Fates for a window of packet numbers, moved on by `advance`.

    Args:
        impairments: what decides.
        source: name of the sending host.
        target: name of the receiving host.
        uniforms: the run's block generator.
        number: the first packet to decide.
        states: states to go on from, by impairment name and occurrence (see `states_at`); others start afresh, and those
            whose states are of another kind.
        seed: what keys the uniforms instead of the run's seed, if it is not None.

    Attributes:
        fixed_ns: the delay of every packet if nothing is left to chance (then there is no window), else -1.
        begin: the window is `begin <= number < end`.
        end: see `begin`.
        fates: one element a packet of the window, see `Columns.fates`: a list would take five times the memory, and there are
            as many windows as pairs of hosts.
        columns: what `fates` was made of.

    Invariant: a packet's uniforms depend on run seed (or seed), source, target, name and occurrence of the impairment, and the
    packet's number alone.
    """

    __slots__ = (
        "_copying",
        "_given",
        "_number",
        "_stages",
        "_uniforms",
        "begin",
        "columns",
        "end",
        "fates",
        "fixed_ns",
    )

    def __init__(
        self,
        impairments: tuple[Impairment, ...],
        *,
        source: str,
        target: str,
        uniforms: BlockUniforms,
        number: int = 0,
        states: Mapping[Instance, State] | None = None,
        seed: int | None = None,
    ) -> None:
        plan = _plan(impairments)
        self.fixed_ns = plan.fixed_ns
        self.begin = self.end = number
        self.fates = _NO_FATES
        self.columns = _NO_COLUMNS
        self._number, self._given = number, states or _NONE_GIVEN
        self._copying = plan.copying
        self._uniforms = uniforms
        self._stages: dict[Instance, _Stage] = {}
        if plan.fixed_ns < 0:
            for instance, impairment, rows in plan.stages:
                parts = ("link", source, target, *instance)
                key = b"" if not rows else uniforms.key(*parts) if seed is None else uniforms.key_of(seed, *parts)
                kind, state = self._given.get(instance, _NO_STATE)
                if kind != impairment.state_kind():
                    state = impairment.start()
                self._stages[instance] = _Stage(impairment, rows=rows, key=key, state=state)

    def advance(self, number: int) -> None:
        """Move the window on, block by block, until it holds packet `number`."""
        while number >= self.end:
            self.begin = self.end
            _, first, packets = _block_of(self.begin)
            self.end = first + packets
            columns = Columns(self.end - self.begin, copying=self._copying)
            for stage in self._stages.values():
                stage.before = stage.after
                stage.after = self._decide(stage, columns)
            self.fates = columns.fates()
            self.columns = columns

    def states_at(self, number: int) -> Mapping[Instance, State]:
        """Return each impairment's state before packet `number`, which must not lie before the window.

        Before any packet these are the states given, also of what is not here: a change that no packet met changes nothing.
        """
        if number == self._number:
            return self._given
        if not self._stages:
            return {}
        if number > self.end:
            self.advance(number - 1)
        states: dict[Instance, State] = {}
        for instance, stage in self._stages.items():
            if number == self.end:
                state = stage.after
            else:
                state = self._decide(stage, Columns(number - self.begin, copying=False))
            states[instance] = stage.impairment.state_kind(), state
        return states

    def _decide(self, stage: _Stage, columns: Columns) -> float:
        """Let one stage decide the window's first packets, as many as `columns` has; return its state after them."""
        uniforms = _NO_UNIFORMS
        if stage.rows:
            block, first, packets = _block_of(self.begin)
            block_uniforms = self._uniforms.draw(stage.key, block=block, shape=(stage.rows, packets))
            skip = self.begin - first
            uniforms = block_uniforms[:, skip : skip + len(columns.lost)]
        return stage.impairment.decide(columns, uniforms, stage.before)


class _Stage:
    """An impairment at work: its rows of uniforms, its key, and its state before and after the window."""

    __slots__ = ("after", "before", "impairment", "key", "rows")

    def __init__(self, impairment: Impairment, *, rows: int, key: bytes, state: float) -> None:
        self.impairment = impairment
        self.rows = rows
        self.key = key
        self.before = self.after = state


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all links with the same impairments have in common; a large network has as many links as pairs of hosts.

    `stages` are name and occurrence, impairment, and rows of uniforms (0 if nothing is left to chance).
    """

    stages: tuple[tuple[Instance, Impairment, int], ...]
    copying: bool
    fixed_ns: int


@functools.lru_cache(maxsize=256)
def _plan(impairments: tuple[Impairment, ...]) -> _Plan:
    copying = any(impairment.copy_rate() > 0.0 for impairment in impairments)
    seen: Counter[str] = Counter()
    stages: list[tuple[Instance, Impairment, int]] = []
    for impairment in impairments:
        # Uniforms fill row by row, so leaving the last rows out does not change the others.
        rows = impairment.rows_used(copying=copying)
        stages.append(((impairment.name, seen[impairment.name]), impairment, rows))
        seen[impairment.name] += 1
    return _Plan(tuple(stages), copying, -1 if any(rows for _, _, rows in stages) else _constant_ns(impairments))


def _constant_ns(impairments: tuple[Impairment, ...]) -> int:
    columns = Columns(1, copying=False)
    for impairment in impairments:
        impairment.decide(columns, _NO_UNIFORMS, impairment.start())
    return columns.fates()[0]


def _block_of(number: int) -> tuple[int, int, int]:
    """Return the index, first packet and length of the block that packet `number` belongs to."""
    if number < _BEFORE_LAST:
        block = (number // _FIRST_BLOCK + 1).bit_length() - 1
        return block, _FIRST_BLOCK * ((1 << block) - 1), _FIRST_BLOCK << block
    later = (number - _BEFORE_LAST) // _LAST_BLOCK
    return _DOUBLINGS + later, _BEFORE_LAST + later * _LAST_BLOCK, _LAST_BLOCK
