"""Pure: what a directed link does to its packets, and what that predicts.

Source: DESIGN section 3; tc-netem for the rate.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from netem.delay_law import DelayLaw
from netem.errors import ConfigError
from netem.impairments.base import Impairment
from netem.loss_chain import LossChain


@dataclass(frozen=True)
class LinkConfig:
    """What one directed link does to its packets.

    Args:
        impairments: their order does not matter.
        rate_bytes_per_s: > 0; infinity means none. A link with a rate keeps packets in order.
        queue_bytes: > 0, bytes waiting for the rate.
    """

    impairments: tuple[Impairment, ...] = ()
    rate_bytes_per_s: float = math.inf
    queue_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        if not self.rate_bytes_per_s > 0.0:
            raise ConfigError("rate_bytes_per_s", self.rate_bytes_per_s, "above 0")
        if self.queue_bytes <= 0:
            raise ConfigError("queue_bytes", self.queue_bytes, "above 0")

    def loss_chain(self) -> LossChain:
        """Return the law of losses that packets meet, before copies are made; queues apart."""
        return _loss_chain(tuple(one for one in self.impairments if type(one).loss_chain is not Impairment.loss_chain))

    def transmissions_lost(self) -> LossChain:
        """Return the law of transmissions (packets and copies) lost per packet offered, queues apart."""
        return self.loss_chain().with_copies(self.copy_rate())

    def loss_rate(self) -> float:
        """Return the long-run number of transmissions (packets and copies) lost per packet offered."""
        return self.transmissions_lost().rate()

    def loss_variance(self, packets: int) -> float:
        """Return the variance of the loss rate measured over `packets` packets."""
        return self.transmissions_lost().variance(packets)

    def delay_law(self) -> DelayLaw | None:
        """Return the law of the delay without queueing and serialisation; None where it is not known (see `unjudged`)."""
        total: DelayLaw | None = DelayLaw(0.0)
        for impairment in self.impairments:
            law = impairment.delay_law()
            total = None if law is None or total is None else total.plus(law)
        return total

    def copy_rate(self) -> float:
        """Return the probability that a packet is duplicated."""
        return 1.0 - math.prod(1.0 - impairment.copy_rate() for impairment in self.impairments)

    def unjudged(self) -> dict[str, str]:
        """Return the quantities of the certificate that cannot be predicted, by name, each with the reason."""
        reasons: dict[str, str] = {}
        for impairment in self.impairments:
            reasons |= impairment.unjudged()
        if self.rate_bytes_per_s != math.inf:
            reasons.pop("reorder", None)  # a link with a rate keeps packets in order
        if self.delay_law() is None:
            for quantity in ("delay", "jitter", "quantiles"):
                reasons.setdefault(quantity, "the sum of several random delays has no law here")
        return reasons

    def mean_delay_s(self) -> float:
        """Return the expected delay, without queueing and serialisation."""
        return math.fsum(impairment.mean_delay_s() for impairment in self.impairments)

    def delay_sd_s(self) -> float:
        """Return (a bound on) the standard deviation of the delay, without queueing and serialisation."""
        return math.hypot(*(impairment.delay_sd_s() for impairment in self.impairments))


@dataclass(frozen=True)
class Exposure:
    """How many packets were exposed to a configuration's impairments (those stopped by a partition were not)."""

    config: LinkConfig
    packets: int


@dataclass(frozen=True, slots=True)
class Rests:
    """How long the line of a link's rate has stood idle between packets.

    `late` are the last 256 rests at most, each as the number of the packet that ended it and its length; `earlier_ns` is the sum
    of those before. So a receiver can leave out what came after the last packet it saw.
    """

    earlier_ns: int = 0
    late: tuple[tuple[int, int], ...] = ()


NO_RESTS = Rests()


@functools.lru_cache(maxsize=1024)
def _loss_chain(losing: tuple[Impairment, ...]) -> LossChain:
    return functools.reduce(LossChain.beside, (one.loss_chain() for one in losing), LossChain.independent(0.0))
