"""Pure: bursty loss from a two-state Markov chain.

Source: tc-netem `loss gemodel`; Gilbert 1960, Elliott 1963.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.errors import ConfigError
from netem.impairments.base import Columns, Impairment, check_probability
from netem.loss_chain import LossChain


@dataclass(frozen=True, slots=True)
class GilbertElliott(Impairment):
    """Lose packets with probability `good` or `bad`, by the state of a chain that steps once a packet.

    `p` is P(good to bad), `r` is P(bad to good); `bad` is tc's 1-h, `good` is tc's 1-k. The chain starts good; the
    state before the step decides the packet's loss. Long-run loss rate (r good + p bad) / (p + r); with bad = 1 and
    good = 0 the mean burst is 1/r. A copy meets the same state as its original, with a uniform of its own (tc-netem
    steps the chain once more for it, which would shift all later fates).
    """

    name: ClassVar[str] = "gilbert_elliott"
    tc: ClassVar[tuple[str, ...]] = ("loss", "gemodel")
    rows: ClassVar[int] = 2
    copy_rows: ClassVar[int] = 1

    p: float
    r: float
    bad: float = 1.0
    good: float = 0.0

    def __post_init__(self) -> None:
        for field in ("p", "r", "bad", "good"):
            check_probability(f"loss gemodel {field}", getattr(self, field))
        if self.p + self.r == 0.0:
            raise ConfigError("loss gemodel p, r", (self.p, self.r), "not both 0")

    @classmethod
    def from_loss(cls, rate: float, mean_burst: float) -> Self:
        """Make the chain with bad = 1, good = 0 that loses `rate` (0..1) in bursts of `mean_burst` (>= 1) packets.

        Raises:
            ConfigError: no chain does that: rate <= mean_burst / (mean_burst + 1) must hold.
        """
        if not 1.0 <= mean_burst < math.inf:
            raise ConfigError("mean burst", mean_burst, "a number of packets from 1")
        most = mean_burst / (mean_burst + 1.0)
        if not 0.0 <= rate <= most:
            raise ConfigError("loss", rate, f"0 to {most:.6g}: mean burst / (mean burst + 1)")
        return cls(p=min(rate / (mean_burst * (1.0 - rate)), 1.0), r=1.0 / mean_burst)

    @classmethod
    def from_tc(cls, arguments: Sequence[str], *, kernel: bool = False) -> Self:  # noqa: ARG003 - the same either way
        """Read `P [R [1-H [1-K]]]`; R defaults to 1 - P."""
        values = tc_units.arguments("loss gemodel", arguments, allowed="P [R [1-H [1-K]]]", least=1, most=4)
        return cls(*values) if len(values) > 1 else cls(values[0], 1.0 - values[0])

    def to_tc(self) -> str:
        """Return `loss gemodel P% R% 1-H% 1-K%`."""
        values = (self.p, self.r, self.bad, self.good)
        return "loss gemodel " + " ".join(tc_units.format_percent(value) for value in values)

    def is_random(self) -> bool:
        """Say yes: the chain always steps."""
        return True

    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Step the chain by row 0; lose packets by row 1 and copies by row 2."""
        states = self._states(uniforms[0], state)
        worse = states[:-1] if self.bad >= self.good else ~states[:-1]
        columns.lose(worse if self._is_certain() else self._lost(worse, uniforms[1]))
        if columns.copies is not None:
            columns.copies.lose(worse if self._is_certain() else self._lost(worse, uniforms[2]))
        return float(states[-1])

    def _lost(self, worse: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """Return what is lost (bool) by the state's probability: either of the two, or the larger one alone in the worse state."""
        lost = uniforms < max(self.good, self.bad)
        lost &= worse
        lost |= uniforms < min(self.good, self.bad)
        return lost

    def rows_used(self, *, copying: bool) -> int:
        """Return 1 if the state alone says what is lost: row 0 steps the chain."""
        return 1 if self._is_certain() else Impairment.rows_used(self, copying=copying)

    def _is_certain(self) -> bool:
        return {self.bad, self.good} == {0.0, 1.0}

    def _states(self, uniforms: np.ndarray, state: float) -> np.ndarray:
        """Return the states (bool, True is bad) before each packet, and after the last."""
        from_good = uniforms < self.p
        from_bad = uniforms < 1.0 - self.r
        # Both say bad, both say good, or it stays as it is: so does the carry of a sum.
        if self.p + self.r <= 1.0:
            return _carries(from_good, from_bad, carry=bool(state))
        # Or it changes sides. Where the changes so far are odd in number, all is the other way round.
        turned = np.zeros(len(uniforms) + 1, dtype=bool)
        np.logical_xor.accumulate(from_good & ~from_bad, out=turned[1:])
        bad, good = from_bad, ~from_good
        first = np.where(turned[1:], good, bad)
        states: np.ndarray = _carries(first, ~np.where(turned[1:], bad, good), carry=bool(state)) ^ turned
        return states

    def loss_chain(self) -> LossChain:
        """Return the chain of the states good and bad."""
        p, r = self.p, self.r
        return LossChain(
            transition=np.array([[1.0 - p, p], [r, 1.0 - r]]),
            loss=np.array([self.good, self.bad]),
            stationary=np.array([r, p]) / (p + r),
        )


def _carries(first: np.ndarray, second: np.ndarray, *, carry: bool) -> np.ndarray:
    """Return the carry (bool) into each bit, and out of the last, when two rows of bits (bool, lowest first) are added as numbers."""
    one, other = (int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little") for bits in (first, second))
    carried = (one + other + carry) ^ one ^ other
    packed = np.frombuffer(carried.to_bytes(len(first) // 8 + 1, "little"), dtype=np.uint8)
    return np.unpackbits(packed, count=len(first) + 1, bitorder="little").view(bool)
