"""Pure: what one directed link does to its packets, and what theory says of it.

Source: DESIGN section 3; tc-netem for every field.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from netem.delay_law import DelayLaw
from netem.errors import ConfigError
from netem.impairments.base import Impairment
from netem.loss_chain import LossChain
from netem.packet_chain import MOST_STATES, PacketChain
from netem.rate_queue import UNLIMITED
from netem.slot import Slot

MODES = ("honest", "kernel")
KERNEL_LIMIT_PACKETS = 1000
_MOST_PACKETS = 2**32 - 1
_MOST_OVERHEAD_BYTES = 10_000
LEAST_QUEUE_BYTES = 64 * 1024
_MANY_STATES = "several correlated impairments together have too many states"


@dataclass(frozen=True)
class LinkConfig:
    """What one directed link does to its packets.

    Args:
        impairments: their order does not matter.
        rate_bytes_per_s: > 0; infinity means none. A link with a rate keeps packets in order.
        queue_bytes: > 0, bytes waiting for the rate; None is automatic, see `queue_limit_bytes`. Not used with `limit_packets`.
        overhead_bytes: added to each packet for the rate; may be negative.
        cell_bytes: 0, or packets fill cells of that size for the rate.
        cell_overhead_bytes: added to each cell for the rate; may be negative.
        limit_packets: packets waiting on the link for whatever reason, more are dropped (`Cause.LIMIT`); None is automatic: any
            number may wait for the delay, and `queue_bytes` for the rate (`Cause.LINK_QUEUE`).
        slot: when packets may leave; a link with slots keeps packets in order.
        ordered: packets never overtake one another, whatever their jitter.
        ecn: as in tc, mark packets instead of losing them if their sender is capable of ECN. No datagram here is (sockets send
            without), so all are lost as tc loses those.
        seed: what keys the link's chance instead of the run's seed.
        mode: `kernel` reproduces what surprises in the kernel: see the impairments; a limit of 1000 packets.
    """

    impairments: tuple[Impairment, ...] = ()
    rate_bytes_per_s: float = math.inf
    queue_bytes: int | None = None
    overhead_bytes: int = 0
    cell_bytes: int = 0
    cell_overhead_bytes: int = 0
    limit_packets: int | None = None
    slot: Slot | None = None
    ordered: bool = False
    ecn: bool = False
    seed: int | None = None
    mode: str = "honest"

    def __post_init__(self) -> None:
        if not self.rate_bytes_per_s > 0.0:
            raise ConfigError("rate_bytes_per_s", self.rate_bytes_per_s, "above 0")
        if self.queue_bytes is not None and self.queue_bytes <= 0:
            raise ConfigError("queue_bytes", self.queue_bytes, "above 0")
        for field in ("overhead_bytes", "cell_overhead_bytes"):
            if abs(getattr(self, field)) > _MOST_OVERHEAD_BYTES:
                raise ConfigError(
                    field, getattr(self, field), f"-{_MOST_OVERHEAD_BYTES} to {_MOST_OVERHEAD_BYTES} bytes"
                )
        if not 0 <= self.cell_bytes <= _MOST_OVERHEAD_BYTES:
            raise ConfigError("cell_bytes", self.cell_bytes, f"0 (no cells) to {_MOST_OVERHEAD_BYTES} bytes")
        if self.cell_overhead_bytes <= -self.cell_bytes and (self.cell_bytes or self.cell_overhead_bytes):
            raise ConfigError(
                "cell_overhead_bytes", self.cell_overhead_bytes, "above minus the cell size, and 0 without cells"
            )
        if self.limit_packets is not None and not 1 <= self.limit_packets <= _MOST_PACKETS:
            raise ConfigError("limit", self.limit_packets, f"1 to {_MOST_PACKETS} packets")
        if self.mode not in MODES:
            raise ConfigError("mode", self.mode, " or ".join(MODES))
        if self.seed is not None and not 0 <= self.seed < 2**64:
            raise ConfigError("seed", self.seed, "0 to 2^64 - 1")
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.early_rate() > 0.0:
            if not self.mean_of_delayed_s() > 0.0:
                raise ConfigError("reorder", "without delay", "reorder with a delay: packets overtake those that wait")
            if self.slot or self.ordered:
                raise ConfigError(
                    "reorder", "with slot" if self.slot else "with ordered", "one of the two: both say who leaves first"
                )
        if self.ecn and not any(impairment.loss_rate() > 0.0 for impairment in self.impairments):
            raise ConfigError("ecn", "without loss", "ecn with a loss, whose packets it marks")

    def limit(self) -> int | None:
        """Return how many packets may wait, the mode's own number if none is given; None is automatic."""
        if self.limit_packets is None and self.mode == "kernel":
            return KERNEL_LIMIT_PACKETS
        return self.limit_packets

    def queue_limit_bytes(self) -> int:
        """Return how many bytes may wait for the rate.

        Automatic are 64 KiB, or half as much again as arrives within the delay and three deviations: less, and jitter alone would
        overflow the queue of a fast link, and then leave the link idle.
        """
        if self.limit() is not None:
            return UNLIMITED
        if self.queue_bytes is not None or self.rate_bytes_per_s == math.inf:
            return self.queue_bytes or LEAST_QUEUE_BYTES
        slowest_s = self.mean_of_delayed_s() + 3.0 * math.hypot(*(one.delay_sd_s() for one in self.impairments))
        return max(LEAST_QUEUE_BYTES, math.ceil(1.5 * self.rate_bytes_per_s * slowest_s))

    def is_shaped(self) -> bool:
        """Say whether a packet's departure depends on other packets."""
        rated = self.rate_bytes_per_s != math.inf
        return rated or self.ordered or self.slot is not None or self.limit() is not None

    def rated_bytes(self, size_bytes: int) -> int:
        """Return the bytes that the rate takes time for: with overhead, and in whole cells."""
        rated = max(size_bytes + self.overhead_bytes, 0)
        if self.cell_bytes:
            rated = -(-rated // self.cell_bytes) * (self.cell_bytes + self.cell_overhead_bytes)
        return rated

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

    def unjudged(self) -> dict[str, str]:
        """Return the quantities of the certificate that cannot be predicted, by name, each with the reason."""
        reasons: dict[str, str] = {}
        for impairment in self.impairments:
            reasons |= impairment.unjudged()
        in_order = self.rate_bytes_per_s != math.inf or self.ordered or self.slot is not None
        if in_order and not self.early_rate():
            reasons.pop("reorder", None)
        if self.slot is not None:
            reasons |= {
                "rate": "slots shape arrivals",
                "slot": "what waits for a slot depends on when packets were sent",
            }
        if self.limit() is not None:
            reasons["limit"] = "how many wait depends on when packets were sent; its drops are counted apart"
        if self.delay_law() is None:
            for quantity in ("delay", "jitter", "quantiles"):
                reasons.setdefault(quantity, "the sum of several random delays has no law here")
        if self.packet_chain().states > MOST_STATES:
            reasons |= dict.fromkeys(("burst", "duplicates"), _MANY_STATES)
        if self.transmission_chain().states > MOST_STATES:
            reasons["loss"] = _MANY_STATES
        return reasons


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
