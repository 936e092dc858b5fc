"""Pure: reordering: some packets skip the delay and overtake those that wait.

Source: tc-netem `reorder` and `gap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.correlation import FRESH, hits
from netem.errors import ConfigError
from netem.impairments.base import Columns, Impairment, check_correlation, check_probability
from netem.loss_chain import LossChain
from netem.memory_loss import correlated_chain, kernel_rate

MOST_GAP = 1_000_000


@dataclass(frozen=True, slots=True)
class Reorder(Impairment):
    """Send a packet at once, past delay and rate, with `probability`, if at least `gap - 1` were delayed since the last such.

    The long-run share of early packets is p / (1 + p (gap - 1)). Packets that are lost count like others, so that a loss does not
    change which packets are early. A copy is early with that share, on its own. A `correlation` (see `Loss`) needs gap 1 here: with a
    gap it would act on every gap-th draw at most.
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
        if self.gap > 1 and self.correlation:
            raise ConfigError("reorder", f"correlation {self.correlation:g} with gap {self.gap}", "one of the two")

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
        """Return the state before the first packet: of the draws, or how many were delayed since the last early one."""
        return FRESH if self.gap == 1 else 0.0

    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Choose early packets by row 0 and early copies by row 1."""
        if not self.is_random():
            return state
        if self.gap == 1:
            early, state = hits(uniforms[0], self.probability, rho=self.correlation, state=state, kernel=self.kernel)
        else:
            early, state = self._spaced(uniforms[0] < self.probability, int(max(state, 0.0)) if state < FRESH else 0)
        columns.hasten(early)
        if columns.copies is not None:
            columns.copies.hasten(uniforms[1] < self.early_rate())
        return state

    def _spaced(self, chosen: np.ndarray, delayed: int) -> tuple[np.ndarray, float]:
        """Keep the first chosen packet, and then each that comes at least a gap after the last kept."""
        early = np.zeros_like(chosen)
        free = self.gap - 1 - delayed  # the first packet that may be early
        for place in np.flatnonzero(chosen).tolist():
            if place >= free:
                early[place] = True
                free = place + self.gap
        # Beyond the gap it does not matter how many were delayed.
        return early, float(min(max(self.gap - 1 - (free - len(chosen)), 0), self.gap - 1))

    def early_rate(self) -> float:
        """Return the long-run share of early packets."""
        p = kernel_rate(self.probability, self.correlation) if self.kernel else self.probability
        return p / (1.0 + p * (self.gap - 1))

    def early_chain(self) -> LossChain:
        """Return a law of the early packets: independent ones in place of those that a gap keeps apart.

        A gap makes the distances between them less variable (in convex order), so that sums stray less than the law says.
        """
        if self.gap > 1:
            return LossChain.independent(self.early_rate())
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
