"""Pure: reordering: some packets skip the delay and overtake those that wait.

Source: tc-netem `reorder` and `gap`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.correlation import FRESH, hits, settled
from netem.errors import ConfigError
from netem.impairments.base import Columns, Impairment, check_correlation, check_probability
from netem.loss_chain import LossChain
from netem.memory_loss import correlated_chain, kernel_rate

MOST_GAP = 1_000_000
_FURTHEST = 10.0  # no normal of 53 bits is further out
_MEMORY_FROM = 16.0
_PER_UNIT = 2.0**26
_MEMORIES = 2**31  # as many different draws as a state can tell apart


@dataclass(frozen=True, slots=True)
class Reorder(Impairment):
    """Send a packet at once, past delay and rate, with `probability`, if at least `gap - 1` were delayed since the last such.

    The long-run share of early packets is p / (1 + p (gap - 1)). Packets that are lost count like others, so that a loss does not
    change which packets are early. A copy is early with that share, on its own. A `correlation` (see `Loss`) is one of draws, which
    rest while the gap lasts, so that it does not change the share.
    """

    name: ClassVar[str] = "reorder"
    tc: ClassVar[tuple[str, ...]] = ("reorder",)
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 1

    probability: float
    correlation: float = 0.0
    gap: int = 1
    kernel: bool = False

    def __post_init__(self) -> None:
        check_probability("reorder", self.probability)
        check_correlation("reorder", self.correlation)
        if not 1 <= self.gap <= MOST_GAP:
            raise ConfigError("gap", self.gap, f"1 to {MOST_GAP} packets")

    @classmethod
    def from_tc(cls, arguments: Sequence[str], *, kernel: bool = False) -> Self:
        """Read `P [CORRELATION] [gap N]`."""
        words = list(arguments)
        gap = 1
        if "gap" in words:
            place = words.index("gap")
            gap = tc_units.parse_whole("gap", " ".join(words[place + 1 :]), least=1, most=MOST_GAP)
            del words[place:]
        values = [*tc_units.arguments("reorder", words, allowed="PERCENT [CORRELATION] [gap N]", least=1, most=2), 0.0]
        return cls(values[0], values[1], gap, kernel=kernel)

    def to_tc(self) -> str:
        """Return `reorder P% [CORRELATION%] [gap N]`."""
        text = f"reorder {tc_units.format_percents(self.probability, self.correlation)}"
        return f"{text} gap {self.gap}" if self.gap > 1 else text

    def is_random(self) -> bool:
        """Say whether any packet is ever early."""
        return self.probability > 0.0

    def start(self) -> float:
        """Return the state before the first packet: of the draws, or, with a gap, see `_pack`."""
        return FRESH if self.gap == 1 else _pack(0)

    def state_kind(self) -> str:
        """Return whose draws the state is of, and whether it counts delayed packets too."""
        return ("kernel" if self.kernel else "normal") + ", spaced" * (self.gap > 1)

    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Choose early packets by row 0 and early copies by row 1."""
        if not self.is_random():
            return state
        if self.gap == 1:
            early, state = hits(uniforms[0], self.probability, rho=self.correlation, state=state, kernel=self.kernel)
        elif self.correlation:
            early, state = self._spaced_with_memory(uniforms[0], state)
        else:
            delayed, _ = _unpack(state)
            early, delayed = self._spaced(uniforms[0] < self.probability, delayed)
            state = _pack(delayed)
        columns.hasten(early)
        if columns.copies is not None:
            columns.copies.hasten(uniforms[1] < self.early_rate())
        return state

    def _spaced(self, chosen: np.ndarray, delayed: int) -> tuple[np.ndarray, int]:
        """Keep the first chosen packet, and then each that comes at least a gap after the last kept."""
        early = np.zeros_like(chosen)
        free = self.gap - 1 - delayed  # the first packet that may be early
        for place in np.flatnonzero(chosen).tolist():
            if place >= free:
                early[place] = True
                free = place + self.gap
        # Beyond the gap it does not matter how many were delayed.
        return early, min(max(self.gap - 1 - (free - len(chosen)), 0), self.gap - 1)

    def _spaced_with_memory(self, uniforms: np.ndarray, state: float) -> tuple[np.ndarray, float]:
        """The same by draws with memory, packet by packet: who is within the gap draws nothing."""
        # Imported late, see `netem.correlation`.
        from scipy.special import ndtri

        rho, gap = self.correlation, self.gap - 1
        if self.kernel:
            fresh, weight, threshold = uniforms, 1.0 - rho, self.probability
        else:
            fresh, weight = ndtri(np.maximum(uniforms, 2.0**-60)), math.sqrt(1.0 - rho * rho)
            threshold = float(ndtri(self.probability))
        early = np.zeros(len(uniforms), dtype=bool)
        delayed, memory = _unpack(state)
        for place, value in enumerate(fresh.tolist()):
            if delayed < gap:
                delayed += 1
                continue
            if memory is None:  # the first of all draws
                memory = settled(float(uniforms[place]), rho) if self.kernel else value
            else:
                memory = rho * memory + weight * value
            if memory < threshold:
                early[place] = True
                delayed = 0
        return early, _pack(delayed, memory)

    def early_rate(self) -> float:
        """Return the long-run share of early packets."""
        p = kernel_rate(self.probability, self.correlation) if self.kernel else self.probability
        return p / (1.0 + p * (self.gap - 1))

    def early_chain(self) -> LossChain:
        """Return a law of the early packets: with a gap, those of as many draws without one.

        A gap makes the distances between them less variable (in convex order), so that sums stray less than the law says.
        """
        if self.gap > 1:
            return correlated_chain(self.early_rate(), self.correlation, kernel=False)
        return correlated_chain(self.probability, self.correlation, kernel=self.kernel)

    def unjudged(self) -> dict[str, str]:
        """Say that early packets overtake as many as the sender's spacing lets them, and that the kernel's filter has no law of sums."""
        if not self.is_random():
            return {}
        reasons = {
            "reorder": "early packets overtake by how closely packets were sent",
            "rate": "early packets skip the rate",
        }
        if self.kernel and self.correlation:
            reasons |= dict.fromkeys(("delay", "jitter", "quantiles"), "the kernel's filter has no known law of sums")
        return reasons

    def memory(self) -> float:
        """Return the correlation."""
        return self.correlation


def _pack(delayed: int, memory: float | None = None) -> float:
    """Return how many were delayed since the last early packet, and the last draw, as one number; exact but for a draw's last bits."""
    return float(delayed * _MEMORIES + (0 if memory is None else round((memory + _MEMORY_FROM) * _PER_UNIT)))


def _unpack(state: float) -> tuple[int, float | None]:
    """Return what was packed."""
    delayed, packed = divmod(int(state), _MEMORIES)
    memory = packed / _PER_UNIT - _MEMORY_FROM
    return delayed, memory if memory > -_FURTHEST else None
