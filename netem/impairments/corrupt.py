"""Pure: damage: one flipped bit in the payload, or the loss that a checksum makes of it.

Source: tc-netem `corrupt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.correlation import FRESH, hits, where_within
from netem.errors import ConfigError
from netem.impairments.base import Columns, Impairment, check_correlation, check_probability
from netem.loss_chain import LossChain
from netem.memory_loss import BURSTS_OF_MEMORY, correlated_chain, kernel_rate

EFFECTS = ("deliver", "as-loss")


@dataclass(frozen=True, slots=True)
class Corrupt(Impairment):
    """Flip one bit of a packet with `probability`; a `correlation` lets damage cluster (see `Loss`).

    `deliver` hands the application the payload with the flipped bit, which a network whose checksums are rewritten on the way
    does; an empty payload has no bit and passes whole. With `as-loss` the packet is dropped, and counted as `Cause.CORRUPT`: the
    kernel's netem flips bits below UDP, whose checksum then drops the packet, so that is what the kernel's mode does.
    """

    name: ClassVar[str] = "corrupt"
    tc: ClassVar[tuple[str, ...]] = ("corrupt",)
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 1

    probability: float
    correlation: float = 0.0
    effect: str = "deliver"
    kernel: bool = False

    def __post_init__(self) -> None:
        check_probability("corrupt", self.probability)
        check_correlation("corrupt", self.correlation)
        if self.effect not in EFFECTS:
            raise ConfigError("corrupt", self.effect, " or ".join(EFFECTS))

    @classmethod
    def from_tc(cls, arguments: Sequence[str], *, kernel: bool = False) -> Self:
        """Read `P [CORRELATION] [deliver|as-loss]`; the last word is an extension of ours."""
        words = list(arguments)
        effect = words.pop() if words and words[-1] in EFFECTS else "as-loss" if kernel else "deliver"
        allowed = "PERCENT [CORRELATION] [deliver|as-loss]"
        values = [*tc_units.arguments("corrupt", words, allowed=allowed, least=1, most=2), 0.0]
        return cls(values[0], values[1], effect, kernel=kernel)

    def to_tc(self) -> str:
        """Return `corrupt P% [CORRELATION%]` and the effect, unless it is the mode's own."""
        text = f"corrupt {tc_units.format_percents(self.probability, self.correlation)}"
        return text if self.effect == EFFECTS[self.kernel] else f"{text} {self.effect}"

    def is_random(self) -> bool:
        """Say whether anything is ever damaged."""
        return self.probability > 0.0

    def start(self) -> float:
        """Return the state before the first draw."""
        return FRESH

    def state_kind(self) -> str:
        """Return whose draws the state is of."""
        return "kernel" if self.kernel else "normal"

    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Damage packets by row 0 and copies by row 1; where a draw lies below the probability says which bit."""
        if not self.is_random():
            return state
        hit, after = hits(uniforms[0], self.probability, rho=self.correlation, state=state, kernel=self.kernel)
        rate = self.corrupt_rate()
        if hit.any():
            if self.effect == "deliver":
                where = where_within(
                    uniforms[0], hit, self.probability, rho=self.correlation, state=state, kernel=self.kernel
                )
                columns.flip(hit, where)
            else:
                columns.ruin(hit)
        if columns.copies is not None:
            hit = uniforms[1] < rate
            if self.effect == "deliver":
                where = where_within(uniforms[1], hit, rate, rho=0.0, state=state, kernel=self.kernel)
                columns.copies.flip(hit, where)
            else:
                columns.copies.ruin(hit)
        return after

    def corrupt_rate(self) -> float:
        """Return how often packets are damaged."""
        return kernel_rate(self.probability, self.correlation) if self.kernel else self.probability

    def damage_chain(self) -> LossChain:
        """Return the chain of one state, or one that stands for draws with memory."""
        return correlated_chain(self.probability, self.correlation, kernel=self.kernel)

    def ruin_chain(self) -> LossChain:
        """Return the same, if damage loses packets."""
        return LossChain.independent(0.0) if self.effect == "deliver" else self.damage_chain()

    def unjudged(self) -> dict[str, str]:
        """Say that packets lost by damage with memory leave bursts without a law."""
        return {"burst": BURSTS_OF_MEMORY} if self.correlation and self.effect != "deliver" else {}

    def memory(self) -> float:
        """Return the correlation."""
        return self.correlation


def flip_bit(data: bytes, where: float) -> bytes:
    """Return data with one bit flipped, `where` in [0, 1) of it; as it is if that is negative or there is none."""
    if where < 0.0 or not data:
        return data
    byte, bit = divmod(int(where * 8 * len(data)), 8)
    damaged = bytearray(data)
    damaged[byte] ^= 1 << bit
    return bytes(damaged)
