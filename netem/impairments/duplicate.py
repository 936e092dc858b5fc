"""Pure: duplication.

Source: tc-netem `duplicate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.impairments.base import Columns, Impairment, check_probability


@dataclass(frozen=True, slots=True)
class Duplicate(Impairment):
    """Send a second copy of a packet with `probability`.

    The copy passes the link's losses and delays on its own and is not duplicated again. If the packet is lost by the
    same link, the two cancel and one packet goes on. With independent loss l and duplication d, a packet arrives
    1 - l + d (1 - l + l^2) times on average.
    """

    name: ClassVar[str] = "duplicate"
    tc: ClassVar[tuple[str, ...]] = ("duplicate",)
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 0

    probability: float

    def __post_init__(self) -> None:
        check_probability("duplicate", self.probability)

    @classmethod
    def from_tc(cls, arguments: Sequence[str]) -> Self:
        """Read `P`."""
        return cls(*tc_units.arguments("duplicate", arguments, allowed="PERCENT", least=1, most=1))

    def to_tc(self) -> str:
        """Return `duplicate P%`."""
        return f"duplicate {tc_units.format_percent(self.probability)}"

    def is_random(self) -> bool:
        """Say whether anything is ever duplicated."""
        return self.probability > 0.0

    def decide(self, columns: Columns, uniforms: np.ndarray, state: int) -> int:
        """Copy the packets whose uniform is below the probability."""
        if self.is_random():
            columns.copy |= uniforms[0] < self.probability
        return state

    def copy_rate(self) -> float:
        """Return the probability."""
        return self.probability
