"""Pure: what an impairment is: it fills columns of fates from uniforms, and predicts what they look like.

Source: DESIGN section 3; tc-netem for the meaning of each kind.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from netem.delay_law import DelayLaw
from netem.errors import ConfigError
from netem.loss_chain import LossChain

LOST = -1
NO_COPY = -2


class Columns:
    """The fates of a block of `packets` packets, filled by one impairment after the other.

    `lost` (bool), `delay_ns` (int64, added up) and `copy` (bool) have one element a packet. With `copying`, so have
    `copy_lost` and `copy_delay_ns`, the fate of the copy if there is one: it passes loss and delay with uniforms of its
    own. Without, these two are empty, and no uniforms are drawn for them.
    """

    __slots__ = ("copy", "copy_delay_ns", "copy_lost", "copying", "delay_ns", "lost")

    def __init__(self, packets: int, *, copying: bool) -> None:
        copies = packets if copying else 0
        self.copying = copying
        self.lost = np.zeros(packets, dtype=bool)
        self.delay_ns = np.zeros(packets, dtype=np.int64)
        self.copy = np.zeros(packets, dtype=bool)
        self.copy_lost = np.zeros(copies, dtype=bool)
        self.copy_delay_ns = np.zeros(copies, dtype=np.int64)

    def fates(self) -> list[int]:
        """Return each packet's delay in ns, or LOST. As in tc-netem, loss and duplication of one packet cancel."""
        lost = self.lost & ~self.copy if self.copying else self.lost
        fates: list[int] = np.where(lost, LOST, self.delay_ns).tolist()
        return fates

    def copies(self) -> list[int]:
        """Return for each packet its copy's delay in ns, LOST, or NO_COPY; empty if no packet has one."""
        if not self.copying:
            return []
        made = self.copy & ~self.lost
        if not made.any():
            return []
        fate = np.where(self.copy_lost, LOST, self.copy_delay_ns)
        copies: list[int] = np.where(made, fate, NO_COPY).tolist()
        return copies


class Impairment(abc.ABC):
    """One thing that happens to the packets of a link; a frozen dataclass, validated when made.

    `name` keys its randomness and finds it; `tc` are the words that introduce it in a tc line. A packet uses `rows`
    uniforms, and its copy `copy_rows` more, which come after them.
    """

    __slots__ = ()
    name: ClassVar[str]
    tc: ClassVar[tuple[str, ...]]
    rows: ClassVar[int]
    copy_rows: ClassVar[int]

    @classmethod
    @abc.abstractmethod
    def from_tc(cls, arguments: Sequence[str]) -> Self:
        """Read the words after `tc`; raise ConfigError for any that this kind cannot honour."""

    @abc.abstractmethod
    def to_tc(self) -> str:
        """Return the tc option that `from_tc` reads as this impairment."""

    @abc.abstractmethod
    def is_random(self) -> bool:
        """Say whether `decide` looks at the uniforms at all."""

    @abc.abstractmethod
    def decide(self, columns: Columns, uniforms: np.ndarray, state: int) -> int:
        """Fill a block's columns and return the state after it.

        Args:
            columns: one element a packet; changed in place, commutatively with other impairments.
            uniforms: float64 in [0, 1) of shape (rows, packets), and `copy_rows` rows more if the link makes copies.
            state: the state before the block's first packet.

        Deciding a block in two parts gives the same columns and state as in one.
        """

    def start(self) -> int:
        """Return the state before the first packet."""
        return 0

    def loss_chain(self) -> LossChain:
        """Return the law of the losses, for predictions."""
        return LossChain.independent(0.0)

    def loss_rate(self) -> float:
        """Return the long-run share of packets lost."""
        return self.loss_chain().rate()

    def loss_variance(self, packets: int) -> float:
        """Return the variance of the loss rate measured over `packets` packets, correlation included."""
        return self.loss_chain().variance(packets)

    def delay_law(self) -> DelayLaw | None:
        """Return the law of the delay that this adds; None for one that is not known, see `unjudged`."""
        return DelayLaw(self.mean_delay_s()) if self.delay_sd_s() == 0.0 else None

    def unjudged(self) -> dict[str, str]:
        """Return which quantities of the certificate this makes unpredictable, each with the reason.

        Their names: loss, burst, duplicates, delay, jitter, quantiles, reorder.
        """
        return {}

    def mean_delay_s(self) -> float:
        """Return the expected delay."""
        return 0.0

    def delay_sd_s(self) -> float:
        """Return the standard deviation of the delay before it is clamped at 0, which only narrows it."""
        return 0.0

    def copy_rate(self) -> float:
        """Return the probability that a packet is duplicated."""
        return 0.0


def check_probability(field: str, value: float) -> None:
    """Raise ConfigError unless 0 <= value <= 1."""
    if not 0.0 <= value <= 1.0:
        raise ConfigError(field, value, "a probability from 0 to 1")


def check_duration(field: str, value_s: float) -> None:
    """Raise ConfigError unless 0 <= value_s <= 3600."""
    if not 0.0 <= value_s <= 3600.0:
        raise ConfigError(field, value_s, "0 to 3600 seconds")
