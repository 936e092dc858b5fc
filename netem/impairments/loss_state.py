"""Pure: bursty loss from a chain of four states.

Source: tc-netem `loss state` (the "general and intuitive" model of Salsano, Ludovici, Ordine 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.errors import ConfigError
from netem.impairments.base import Columns, Impairment, check_probability
from netem.loss_chain import LossChain

_FIELDS = ("p13", "p31", "p32", "p23", "p14")


@dataclass(frozen=True, slots=True)
class LossState(Impairment):
    """Lose packets in gaps and bursts, by a chain that steps once a packet; its new state decides.

    States: 1 good in a gap, 2 good within a burst, 3 lost within a burst, 4 a single loss in a gap. From 1 to 3 and 4 with `p13` and
    `p14`, from 3 to 1 and 2 with `p31` and `p32`, from 2 to 3 with `p23`, from 4 always to 1. It starts in 1. A copy is lost when its
    original's step loses it, or not, with the long-run rate, on its own (tc-netem steps the chain once more for it).
    """

    name: ClassVar[str] = "loss_state"
    tc: ClassVar[tuple[str, ...]] = ("loss", "state")
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 1

    p13: float
    p31: float
    p32: float = 0.0
    p23: float = 1.0
    p14: float = 0.0

    def __post_init__(self) -> None:
        for field in _FIELDS:
            check_probability(f"loss state {field}", getattr(self, field))
        for one, other in (("p13", "p14"), ("p31", "p32")):
            total = getattr(self, one) + getattr(self, other)
            if total > 1.0 + 1e-12:
                raise ConfigError(f"loss state {one} + {other}", f"{total:.6g}", "a sum of at most 1 (100%)")
        if self.p13 > 0.0 and (self.p31 == 0.0 or (self.p32 > 0.0 and self.p23 == 0.0)):
            raise ConfigError(
                "loss state p31, p23", (self.p31, self.p23), "above 0: else the chain never comes back to a gap"
            )

    @classmethod
    def from_tc(cls, arguments: Sequence[str], *, kernel: bool = False) -> Self:  # noqa: ARG003 - the same either way
        """Read `P13 [P31 [P32 [P23 [P14]]]]`; P31 defaults to 1 - P13."""
        allowed = "P13 [P31 [P32 [P23 [P14]]]]"
        values = tc_units.arguments("loss state", arguments, allowed=allowed, least=1, most=5)
        return cls(*values) if len(values) > 1 else cls(values[0], 1.0 - values[0])

    def to_tc(self) -> str:
        """Return `loss state` and the five percentages."""
        return "loss state " + " ".join(tc_units.format_percent(getattr(self, field)) for field in _FIELDS)

    def is_random(self) -> bool:
        """Say whether the chain ever loses anything."""
        return self.p13 + self.p14 > 0.0

    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Step the chain by row 0; copies are lost by row 1."""
        if not self.is_random() or not uniforms.shape[1]:
            return state
        draws = uniforms[0]
        # What each state would turn to, two bits each: a packet's step maps any state to a state.
        from_1 = np.where(draws < self.p14, 3, np.where(draws < self.p14 + self.p13, 2, 0))
        from_2 = np.where(draws < self.p23, 2, 1)
        from_3 = np.where(draws < self.p32, 1, np.where(draws < self.p32 + self.p31, 0, 2))
        steps = (from_1 | from_2 << 2 | from_3 << 4).tolist()
        states = list(accumulate(steps, lambda last, step: step >> 2 * last & 3, initial=int(state)))[1:]
        columns.lose(np.array(states) >= 2)
        if columns.copies is not None:
            columns.copies.lose(uniforms[1] < self.loss_rate())
        return float(states[-1])

    def loss_chain(self) -> LossChain:
        """Return the chain whose state decides before it steps: it begins one step on."""
        p13, p31, p32, p23, p14 = (getattr(self, field) for field in _FIELDS)
        transition = np.array(
            [
                [1.0 - p13 - p14, 0.0, p13, p14],
                [0.0, 1.0 - p23, p23, 0.0],
                [p31, p32, 1.0 - p31 - p32, 0.0],
                [1.0, 0.0, 0.0, 0.0],
            ]
        ).clip(0.0)
        burst = p13 / p31 if p13 else 0.0
        shares = np.array([1.0, burst * p32 / p23 if burst * p32 else 0.0, burst, p14])
        shares /= shares.sum()
        lost = np.array([0.0, 0.0, 1.0, 1.0])
        return LossChain(transition, lost, shares, initial=transition[0], copies=np.full(4, shares @ lost))
