"""Pure: random loss, with or without correlation.

Source: tc-netem `loss random`; `netem.correlation` for what a correlation does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.correlation import FRESH, hits
from netem.impairments.base import Columns, Impairment, check_correlation, check_probability
from netem.loss_chain import LossChain
from netem.memory_loss import BURSTS_OF_MEMORY, correlated_chain, kernel_pair_rate, pair_rate


@dataclass(frozen=True, slots=True)
class Loss(Impairment):
    """Lose every packet with the same `probability`.

    With a `correlation` losses cluster, and are as many all the same (Gaussian copula). In the kernel's mode (`kernel`) they are
    fewer, far fewer if the probability is small: 0.3 % with 25 % loses four packets in a thousand million. A copy is lost with the
    same probability, on its own.
    """

    name: ClassVar[str] = "loss"
    tc: ClassVar[tuple[str, ...]] = ("loss",)
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 1

    probability: float
    correlation: float = 0.0
    kernel: bool = False

    def __post_init__(self) -> None:
        check_probability("loss", self.probability)
        check_correlation("loss", self.correlation)

    @classmethod
    def from_tc(cls, arguments: Sequence[str], *, kernel: bool = False) -> Self:
        """Read `[random] P [CORRELATION]`."""
        words = list(arguments)
        if words[:1] == ["random"]:
            del words[0]
        values = tc_units.arguments("loss", words, allowed="[random] PERCENT [CORRELATION]", least=1, most=2)
        return cls(values[0], values[1] if len(values) > 1 else 0.0, kernel)

    def to_tc(self) -> str:
        """Return `loss P% [CORRELATION%]`."""
        return f"loss {tc_units.format_percents(self.probability, self.correlation)}"

    def is_random(self) -> bool:
        """Say whether anything is ever lost."""
        return self.probability > 0.0

    def start(self) -> float:
        """Return the state before the first draw."""
        return FRESH

    def state_kind(self) -> str:
        """Return whose draws the state is of."""
        return "kernel" if self.kernel else "normal"

    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Lose the packets (row 0) and copies (row 1) whose draw is below the probability."""
        if not self.is_random():
            return state
        lost, state = hits(uniforms[0], self.probability, rho=self.correlation, state=state, kernel=self.kernel)
        columns.lose(lost)
        if columns.copies is not None:
            columns.copies.lose(uniforms[1] < self.loss_rate())
        return state

    def loss_chain(self) -> LossChain:
        """Return the chain of one state, or one that stands for draws with memory."""
        return correlated_chain(self.probability, self.correlation, kernel=self.kernel)

    def unjudged(self) -> dict[str, str]:
        """Say that the chain which stands for draws with memory has their rate and variance, not their bursts."""
        return {"burst": BURSTS_OF_MEMORY} if self.correlation else {}

    def mean_burst(self) -> float:
        """Return the mean number of packets lost in a row, exactly."""
        if not self.correlation or not 0.0 < self.probability < 1.0:
            return self.loss_chain().mean_burst()
        pair = (kernel_pair_rate if self.kernel else pair_rate)(self.probability, self.correlation)
        rate = self.loss_rate()
        return rate / (rate - pair) if rate > pair else math.inf if rate else 0.0
