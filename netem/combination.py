"""Pure: several impairments together: what theory says of their losses, copies, damage and delay.

Source: DESIGN section 3; tc-netem for what each does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from netem.delay_law import DelayLaw
from netem.impairments.base import Impairment
from netem.loss_chain import LossChain
from netem.packet_chain import PacketChain


@dataclass(frozen=True)
class Combination:
    """Impairments that packets meet independently of one another; their order does not matter."""

    impairments: tuple[Impairment, ...] = ()

    def loss_chain(self) -> LossChain:
        """Return the law of losses that packets meet, before copies are made; queues and damage apart."""
        return _chain("loss_chain", self._with("loss_chain"))

    def packet_chain(self) -> PacketChain:
        """Return the law of what befalls packets: loss, copies and the damage that loses them; queues apart."""
        return _packet_chain(self._with("loss_chain"), self._with("copy_chain"), self._with("ruin_chain"))

    def transmission_chain(self) -> PacketChain:
        """Return the same without damage."""
        return _packet_chain(self._with("loss_chain"), self._with("copy_chain"), ())

    def damage_chain(self) -> LossChain:
        """Return the law of the transmissions, of those not lost, that are damaged, whether that loses them or not."""
        return _chain("damage_chain", self._with("damage_chain"))

    def early_chain(self) -> LossChain:
        """Return the law of the packets that skip delay and rate, see `Impairment.early_chain`."""
        return _chain("early_chain", self._with("early_chain"))

    def _with(self, law: str) -> tuple[Impairment, ...]:
        """Return the impairments that have a law of their own by this name."""
        return tuple(one for one in self.impairments if getattr(type(one), law) is not getattr(Impairment, law))

    def copy_rate(self) -> float:
        """Return how often a packet is copied, unless it is lost."""
        return _any(impairment.copy_rate() for impairment in self.impairments)

    def early_rate(self) -> float:
        """Return the share of packets that skip delay and rate."""
        return _any(impairment.early_rate() for impairment in self.impairments)

    def corrupt_rate(self) -> float:
        """Return the share of transmissions, of those not lost, that are damaged."""
        return _any(impairment.corrupt_rate() for impairment in self.impairments)

    def loss_rate(self) -> float:
        """Return the long-run number of transmissions (packets and copies) lost per packet offered; queues and damage apart."""
        return self.transmission_chain().lost().rate()

    def loss_variance(self, packets: int) -> float:
        """Return the variance of the loss rate measured over `packets` packets."""
        return self.transmission_chain().lost().variance(packets)

    def delay_law(self) -> DelayLaw | None:
        """Return the law of the delay without queueing and serialisation; None where it is not known (see `unjudged`)."""
        total: DelayLaw | None = DelayLaw(0.0)
        for impairment in self.impairments:
            law = impairment.delay_law()
            total = None if law is None or total is None else total.plus(law)
        early = self.early_rate()
        if total is None or not early:
            return total
        memory = max(impairment.memory() for impairment in self.impairments if impairment.early_rate() > 0.0)
        return total.or_none(early, correlation=memory)

    def mean_of_delayed_s(self) -> float:
        """Return the expected delay of the packets that are not early."""
        return math.fsum(impairment.mean_delay_s() for impairment in self.impairments)

    def mean_delay_s(self) -> float:
        """Return the expected delay, without queueing and serialisation."""
        return (1.0 - self.early_rate()) * self.mean_of_delayed_s()

    def delay_sd_s(self) -> float:
        """Return (a bound on) the standard deviation of the delay, without queueing and serialisation."""
        early, mean_s = self.early_rate(), self.mean_of_delayed_s()
        jitter_s = math.hypot(*(impairment.delay_sd_s() for impairment in self.impairments))
        return math.sqrt((1.0 - early) * (jitter_s**2 + early * mean_s**2))


def _any(rates: Iterable[float]) -> float:
    """Return the probability that at least one of independent events happens."""
    return 1.0 - math.prod(1.0 - rate for rate in rates)


@functools.lru_cache(maxsize=1024)
def _chain(law: str, impairments: tuple[Impairment, ...]) -> LossChain:
    """Return the chain of packets that any of these befalls; equal ones are one object."""
    chains: Iterable[LossChain] = (getattr(one, law)() for one in impairments)
    return functools.reduce(LossChain.beside, chains, LossChain.independent(0.0))


@functools.lru_cache(maxsize=1024)
def _packet_chain(
    losing: tuple[Impairment, ...], copying: tuple[Impairment, ...], ruining: tuple[Impairment, ...]
) -> PacketChain:
    return PacketChain(_chain("loss_chain", losing), _chain("copy_chain", copying), _chain("ruin_chain", ruining))
