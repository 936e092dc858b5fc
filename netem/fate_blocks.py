"""Pure: the fates of one link's packets, decided a block at a time from keyed uniforms.

Blocks have 64, 128, ... 4096, 4096, ... packets: small first, as most links carry few.

Source: DESIGN section 3 (decisions in blocks).
"""

from __future__ import annotations

import functools
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
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
        fates: of the window's packets, the next one last, see `Columns.fates`: to pop them is the cheapest way to take them. A list
            would take five times the memory, and there are as many windows as pairs of hosts.
        columns: what `fates` was made of, kept if any of them is `UNUSUAL`.

    Invariant: a packet's uniforms depend on run seed (or seed), source, target, name and occurrence of the impairment, and the
    packet's number alone.
    """

    __slots__ = (
        "_after",
        "_before",
        "_block",
        "_given",
        "_keys",
        "_number",
        "_plan",
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
        plan = self._plan = _plan(impairments)
        self.fixed_ns = plan.fixed_ns
        self.begin = self.end = number
        self.fates = _NO_FATES
        self.columns = _NO_COLUMNS
        self._number, self._given = number, states or _NONE_GIVEN
        self._uniforms = uniforms
        key = uniforms.key if seed is None else functools.partial(uniforms.key_of, seed)
        self._keys = [key("link", source, target, *stage.instance) if stage.rows else b"" for stage in plan.stages]
        # Before and after the window, one of each stage.
        self._after: Sequence[float] = plan.starts
        if states:
            self._after = [stage.goes_on(states) for stage in plan.stages]
        self._before: Sequence[float] = self._after

    def advance(self, number: int) -> None:
        """Move the window on, block by block, until it holds packet `number`."""
        while number >= self.end:
            self.begin = self.end
            self._block = _, first, packets = _block_of(self.begin)
            self.end = first + packets
            columns = Columns(self.end - self.begin, copying=self._plan.copying)
            self._before = self._after
            self._after = self._decide(columns)
            self.fates = array("q", columns.fates()[::-1].tobytes())  # turned by numpy in a tenth of the time
            self.columns = _NO_COLUMNS if columns.all_usual else columns

    def states_at(self, number: int) -> Mapping[Instance, State]:
        """Return each impairment's state before packet `number`, which must not lie before the window.

        Before any packet these are the states given, also of what is not here: a change that no packet met changes nothing.
        """
        if number == self._number:
            return self._given
        if not self._plan.stages:
            return {}
        if number > self.end:
            self.advance(number - 1)
        states = self._after if number == self.end else self._decide(Columns(number - self.begin, copying=False))
        return {
            stage.instance: (stage.impairment.state_kind(), state)
            for stage, state in zip(self._plan.stages, states, strict=True)
        }

    def _decide(self, columns: Columns) -> Sequence[float]:
        """Decide the window's first packets, as many as `columns` has; return the states after them."""
        block, first, packets = self._block
        begin, end = self.begin - first, self.begin - first + columns.packets
        states: list[float] = []
        for stage, key, state in zip(self._plan.stages, self._keys, self._before, strict=True):
            uniforms = _NO_UNIFORMS
            if stage.rows:
                uniforms = self._uniforms.draw(key, block=block, shape=(stage.rows, packets))
                if end - begin < packets:
                    uniforms = uniforms[:, begin:end]
            states.append(stage.impairment.decide(columns, uniforms, state))
        return states


@dataclass(frozen=True, slots=True)
class _Stage:
    """An impairment, its name and occurrence, and its rows of uniforms (0 if nothing is left to chance)."""

    instance: Instance
    impairment: Impairment
    rows: int

    def goes_on(self, states: Mapping[Instance, State]) -> float:
        """Return the state to go on from, the start if none of its kind is given."""
        kind, state = states.get(self.instance, _NO_STATE)
        return state if kind == self.impairment.state_kind() else self.impairment.start()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all links with the same impairments have in common; a large network has as many links as pairs of hosts.

    There are no `stages` if nothing is left to chance: then `fixed_ns` is the delay of every packet, else -1.
    """

    stages: tuple[_Stage, ...]
    starts: tuple[float, ...]
    copying: bool
    fixed_ns: int


@functools.lru_cache(maxsize=256)
def _plan(impairments: tuple[Impairment, ...]) -> _Plan:
    copying = any(impairment.copy_rate() > 0.0 for impairment in impairments)
    seen: Counter[str] = Counter()
    stages: list[_Stage] = []
    for impairment in impairments:
        # Uniforms fill row by row, so leaving the last rows out does not change the others.
        rows = impairment.rows_used(copying=copying)
        stages.append(_Stage((impairment.name, seen[impairment.name]), impairment, rows))
        seen[impairment.name] += 1
    if not any(stage.rows for stage in stages):
        return _Plan((), (), copying, _constant_ns(impairments))
    return _Plan(tuple(stages), tuple(one.start() for one in impairments), copying, -1)


def _constant_ns(impairments: tuple[Impairment, ...]) -> int:
    columns = Columns(1, copying=False)
    for impairment in impairments:
        impairment.decide(columns, _NO_UNIFORMS, impairment.start())
    return int(columns.fates()[0])


def _block_of(number: int) -> tuple[int, int, int]:
    """Return the index, first packet and length of the block that packet `number` belongs to."""
    if number < _BEFORE_LAST:
        block = (number // _FIRST_BLOCK + 1).bit_length() - 1
        return block, _FIRST_BLOCK * ((1 << block) - 1), _FIRST_BLOCK << block
    later = (number - _BEFORE_LAST) // _LAST_BLOCK
    return _DOUBLINGS + later, _BEFORE_LAST + later * _LAST_BLOCK, _LAST_BLOCK
