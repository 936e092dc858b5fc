"""Pure: duplication.

Source: tc-netem `duplicate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.correlation import FRESH, hits
from netem.impairments.base import Columns, Impairment, check_correlation, check_probability
from netem.loss_chain import LossChain
from netem.memory_loss import BURSTS_OF_MEMORY, correlated_chain, kernel_rate


@dataclass(frozen=True, slots=True)
class Duplicate(Impairment):
    """Send a second copy of a packet with `probability`; a `correlation` lets copies cluster (see `Loss`).

    The copy passes everything else of the link on its own and is not duplicated again. If the packet is lost by the
    same link, the two cancel and one packet goes on. With independent loss l and duplication d, a packet arrives
    1 - l + d (1 - l + l^2) times on average.
    """

    name: ClassVar[str] = "duplicate"
    tc: ClassVar[tuple[str, ...]] = ("duplicate",)
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 0

    probability: float
    correlation: float = 0.0
    kernel: bool = False

    def __post_init__(self) -> None:
        check_probability("duplicate", self.probability)
        check_correlation("duplicate", self.correlation)

    @classmethod
    def from_tc(cls, arguments: Sequence[str], *, kernel: bool = False) -> Self:
        """Read `P [CORRELATION]`."""
        values = tc_units.arguments("duplicate", arguments, allowed="PERCENT [CORRELATION]", least=1, most=2)
        return cls(values[0], values[1] if len(values) > 1 else 0.0, kernel)

    def to_tc(self) -> str:
        """Return `duplicate P% [CORRELATION%]`."""
        return f"duplicate {tc_units.format_percents(self.probability, self.correlation)}"

    def is_random(self) -> bool:
        """Say whether anything is ever duplicated."""
        return self.probability > 0.0

    def start(self) -> float:
        """Return the state before the first draw."""
        return FRESH

    def state_kind(self) -> str:
        """Return whose draws the state is of."""
        return "kernel" if self.kernel else "normal"

    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Copy the packets whose draw is below the probability."""
        if self.is_random():
            copy, state = hits(uniforms[0], self.probability, rho=self.correlation, state=state, kernel=self.kernel)
            columns.duplicate(copy)
        return state

    def copy_rate(self) -> float:
        """Return how often packets are duplicated."""
        return kernel_rate(self.probability, self.correlation) if self.kernel else self.probability

    def copy_chain(self) -> LossChain:
        """Return the chain of one state, or one that stands for draws with memory."""
        return correlated_chain(self.probability, self.correlation, kernel=self.kernel)

    def unjudged(self) -> dict[str, str]:
        """Say that copies with memory, which take the place of lost packets, leave bursts without a law."""
        return {"burst": BURSTS_OF_MEMORY} if self.correlation else {}

    def memory(self) -> float:
        """Return the correlation."""
        return self.correlation
