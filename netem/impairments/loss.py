"""Pure: independent loss.

Source: tc-netem `loss random`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.impairments.base import Columns, Impairment, check_probability
from netem.loss_chain import LossChain


@dataclass(frozen=True, slots=True)
class Loss(Impairment):
    """Lose every packet with the same `probability`, independently."""

    name: ClassVar[str] = "loss"
    tc: ClassVar[tuple[str, ...]] = ("loss",)
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 1

    probability: float

    def __post_init__(self) -> None:
        check_probability("loss", self.probability)

    @classmethod
    def from_tc(cls, arguments: Sequence[str]) -> Self:
        """Read `[random] P`."""
        words = list(arguments)
        if words[:1] == ["random"]:
            del words[0]
        return cls(*tc_units.arguments("loss", words, allowed="[random] PERCENT", least=1, most=1))

    def to_tc(self) -> str:
        """Return `loss P%`."""
        return f"loss {tc_units.format_percent(self.probability)}"

    def is_random(self) -> bool:
        """Say whether anything is ever lost."""
        return self.probability > 0.0

    def decide(self, columns: Columns, uniforms: np.ndarray, state: int) -> int:
        """Lose the packets (row 0) and copies (row 1) whose uniform is below the probability."""
        if self.is_random():
            columns.lost |= uniforms[0] < self.probability
            if columns.copying:
                columns.copy_lost |= uniforms[1] < self.probability
        return state

    def loss_chain(self) -> LossChain:
        """Return the chain of one state."""
        return LossChain.independent(self.probability)
