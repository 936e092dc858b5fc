"""Pure: what an impairment is: it fills columns of fates from uniforms, and predicts what they look like.

Source: DESIGN section 3; tc-netem for the meaning of each kind.
"""

from __future__ import annotations

import abc
import importlib
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from netem.delay_law import DelayLaw
from netem.errors import ConfigError
from netem.loss_chain import LossChain

LOST = -1
NO_COPY = -2
RUINED = -3
UNUSUAL = -4
MOST_CORRELATION = 0.999


class Columns:
    """The fates of a block of `packets` packets, filled by one impairment after the other.

    One element a packet, or a single one that is the same for all: `lost` (bool), `delay_ns` (int64, added up), `copy` (bool), `early`
    (bool: it skips delay and rate), `ruined` (bool: damaged, and that loses it), `damage` (float64: where in [0, 1) of the payload a
    bit is flipped, else -1). With `copying`, `copies` are the same columns for the packets' copies: a copy passes everything but
    duplication with uniforms of its own. Without, no uniforms are drawn for them.
    """

    __slots__ = ("copies", "copy", "damage", "delay_ns", "early", "lost", "packets", "ruined", "unusual")

    def __init__(self, packets: int, *, copying: bool) -> None:
        self.packets = packets
        self.copies = Columns(packets, copying=False) if copying else None
        # Most blocks are small, and most links do few of these: arrays come into being with the first.
        self.lost = self.copy = self.early = self.ruined = self.unusual = _NOTHING
        self.delay_ns: np.ndarray = _AT_ONCE
        self.damage = _NOWHERE

    @property
    def all_usual(self) -> bool:
        """Say whether the fates of packets say all: none is `UNUSUAL`."""
        return self.unusual is _NOTHING

    def lose(self, packets: np.ndarray) -> None:
        """Lose some packets (bool)."""
        self.lost = packets if self.lost is _NOTHING else self.lost | packets

    def delay(self, delays_ns: np.ndarray) -> None:
        """Delay all packets (int64), by a single element alike."""
        self.delay_ns = delays_ns if self.delay_ns is _AT_ONCE else self.delay_ns + delays_ns

    def duplicate(self, packets: np.ndarray) -> None:
        """Copy some packets (bool)."""
        self.copy = self.copy | packets

    def hasten(self, packets: np.ndarray) -> None:
        """Send some packets (bool) at once."""
        self.early = self.early | packets
        self.unusual = self.unusual | packets

    def ruin(self, packets: np.ndarray) -> None:
        """Let damage lose some packets (bool)."""
        self.ruined = self.ruined | packets

    def flip(self, packets: np.ndarray, where: np.ndarray) -> None:
        """Flip a bit of some packets (bool), `where` in [0, 1) of their payload: one element for each of them."""
        if self.damage is _NOWHERE:
            self.damage = np.full(len(packets), -1.0)
        places = np.flatnonzero(packets)
        self.damage[places] = np.maximum(self.damage[places], where)
        self.unusual = self.unusual | packets

    def fates(self) -> np.ndarray:
        """Return each packet's delay in ns, LOST, RUINED, or UNUSUAL (see the columns), int64.

        As in tc-netem, loss and duplication of one packet cancel.
        """
        fate, lost = np.empty(self.packets, dtype=np.int64), self.lost
        fate[:] = self.delay_ns
        if self.copies is not None:
            made = self.copy & ~lost
            lost = lost & ~self.copy
            self.copy = made
            self.unusual = self.unusual | made
        if self.unusual is not _NOTHING:
            fate[self.unusual] = UNUSUAL
        if self.ruined is not _NOTHING:
            # A copy was made before its original came to harm.
            fate[self.ruined & ~self.copy] = RUINED
        if lost is not _NOTHING:
            fate[lost] = LOST
        return fate


_NOTHING = np.zeros(1, dtype=bool)
_AT_ONCE = np.zeros(1, dtype=np.int64)
_NOWHERE = np.full(1, -1.0)


class Impairment(abc.ABC):
    """One thing that happens to the packets of a link; a frozen dataclass, validated when made.

    `name` keys its randomness and finds it; `tc` are the words that introduce it in a tc line. A packet uses `rows`
    uniforms, and its copy `copy_rows` more, which come after them; see `rows_used` for how many of them are drawn.
    """

    __slots__ = ()
    name: ClassVar[str]
    tc: ClassVar[tuple[str, ...]]
    rows: ClassVar[int]
    copy_rows: ClassVar[int]

    @classmethod
    @abc.abstractmethod
    def from_tc(cls, arguments: Sequence[str], *, kernel: bool = False) -> Self:
        """Read the words after `tc`, for an honest link or the kernel's; raise ConfigError for any that cannot be honoured."""

    @abc.abstractmethod
    def to_tc(self) -> str:
        """Return the tc option that `from_tc` reads as this impairment."""

    @abc.abstractmethod
    def is_random(self) -> bool:
        """Say whether `decide` looks at the uniforms at all."""

    def rows_used(self, *, copying: bool) -> int:
        """Return how many of the rows, the first ones, `decide` looks at, where copies are made or are not."""
        return self.rows + (self.copy_rows if copying else 0) if self.is_random() else 0

    @abc.abstractmethod
    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Fill a block's columns and return the state after it.

        Args:
            columns: one element a packet; changed in place, commutatively with other impairments.
            uniforms: float64 in [0, 1) of shape (`rows_used`, packets), or more rows.
            state: the state before the block's first packet.

        Deciding a block in two parts gives the same columns as in one, and the same state but for rounding.
        """

    def start(self) -> float:
        """Return the state before the first packet."""
        return 0.0

    def state_kind(self) -> str:
        """Return what the state is, in a word: a live change goes on from a state of the same kind only."""
        return "chain"

    def loss_chain(self) -> LossChain:
        """Return the law of the losses, for predictions."""
        return LossChain.independent(0.0)

    def loss_rate(self) -> float:
        """Return the long-run share of packets lost."""
        return self.loss_chain().rate()

    def loss_variance(self, packets: int) -> float:
        """Return the variance of the loss rate measured over `packets` packets, correlation included."""
        return self.loss_chain().variance(packets)

    def mean_burst(self) -> float:
        """Return the mean number of packets lost in a row; 0 without loss."""
        return self.loss_chain().mean_burst()

    def copy_chain(self) -> LossChain:
        """Return the law of the packets that are duplicated."""
        return LossChain.independent(0.0)

    def damage_chain(self) -> LossChain:
        """Return the law of the packets that are damaged, whether that loses them or not."""
        return LossChain.independent(0.0)

    def ruin_chain(self) -> LossChain:
        """Return the law of the packets that damage loses."""
        return LossChain.independent(0.0)

    def early_chain(self) -> LossChain:
        """Return the law of the packets that skip delay and rate, or of some that are as many and stray more."""
        return LossChain.independent(0.0)

    def delay_law(self) -> DelayLaw | None:
        """Return the law of the delay that this adds; None for one that is not known, see `unjudged`."""
        return DelayLaw(self.mean_delay_s()) if self.delay_sd_s() == 0.0 else None

    def unjudged(self) -> dict[str, str]:
        """Return which quantities of the certificate this makes unpredictable, each with the reason.

        Their names: loss, burst, duplicates, corrupt, early, delay, jitter, quantiles, reorder, rate.
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

    def early_rate(self) -> float:
        """Return the long-run share of packets that skip delay and rate."""
        return 0.0

    def corrupt_rate(self) -> float:
        """Return the long-run share of packets that are damaged, whether that loses them or not."""
        return 0.0

    def memory(self) -> float:
        """Return how strongly one packet's fate (its loss apart) correlates with the next one's: 0 to below 1."""
        return 0.0


def check_probability(field: str, value: float) -> None:
    """Raise ConfigError unless 0 <= value <= 1."""
    if not 0.0 <= value <= 1.0:
        raise ConfigError(field, value, "a probability from 0 to 1")


def check_duration(field: str, value_s: float) -> None:
    """Raise ConfigError unless 0 <= value_s <= 3600."""
    if not 0.0 <= value_s <= 3600.0:
        raise ConfigError(field, value_s, "0 to 3600 seconds")


def check_correlation(field: str, value: float) -> None:
    """Raise ConfigError unless 0 <= value <= 0.999: closer to 1 all packets of a run share the first one's fate."""
    if not 0.0 <= value <= MOST_CORRELATION + 1e-9:  # 99.9 % is a little more than that in binary
        raise ConfigError(
            f"{field} correlation", value, f"0 to {MOST_CORRELATION} ({MOST_CORRELATION:.1%}), so below 1"
        )
    if value:
        importlib.import_module("scipy.special")  # not at the first packet: that would be lag of the event loop
