"""Pure: judge all links' losses and delays at once: nothing may be outside limits that an honest run keeps.

Loss limits are Chernoff bounds under the links' own loss models, so they hold for few packets and bursty losses too.
Sums of delays are sub-Gaussian (uniform and normal jitter), or bounded too and then as Bernstein's inequality has it (heavy tails),
which gives limits of the same kind.

Source: DESIGN section 3; Hoeffding 1963 for both bounds, Bernstein's inequality.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from netem import loss_chain
from netem.clock import S
from netem.latency import LatencyHistogram
from netem.link import Exposure, LinkConfig

RESOLUTION_NS = 50_000  # the departure scheduler coalesces to this
_NAMED_LINKS = 3


@dataclass(frozen=True)
class LinkCount:
    """What happened on one directed link.

    Args:
        source: name of the sending host.
        target: name of the receiving host.
        exposures: from `Link.exposures()`: packets that met the impairments, by configuration.
        copies: from `Link.duplicated`.
        received: datagrams the receiver took in, copies included, by the receiver's own count.
        dropped_later: packets and copies that got through the impairments and were then dropped for another cause.
        in_flight: packets and copies still on their way.
        own_delay_sum_ns: over all received, receive time minus send time minus all queueing and serialisation
            (uplink, link, downlink): what the impairments and the host's lateness did.

    Lost by the receiver's count: exposed packets + copies - received - dropped_later - in_flight.
    """

    source: str
    target: str
    exposures: tuple[Exposure, ...]
    copies: int
    received: int
    dropped_later: int
    in_flight: int
    own_delay_sum_ns: int

    def plus(self, other: LinkCount) -> LinkCount:
        """Return what two processes know of this link together."""
        return LinkCount(
            source=self.source,
            target=self.target,
            exposures=self.exposures + other.exposures,
            copies=self.copies + other.copies,
            received=self.received + other.received,
            dropped_later=self.dropped_later + other.dropped_later,
            in_flight=self.in_flight + other.in_flight,
            own_delay_sum_ns=self.own_delay_sum_ns + other.own_delay_sum_ns,
        )

    @property
    def packets(self) -> int:
        """Packets that met the impairments."""
        return sum(exposure.packets for exposure in self.exposures)

    @property
    def lost(self) -> int:
        """Transmissions lost, by the receiver's count."""
        return self.packets + self.copies - self.received - self.dropped_later - self.in_flight


@dataclass(frozen=True)
class Quantity:
    """One quantity over all links: realised and configured value, and how far they may be apart.

    `tolerance` is also the smallest deviation that is sure to be noticed. With 0 packets there was nothing to judge: the
    values are None and `ok` is False.
    """

    packets: int
    realised: float | None = None
    configured: float | None = None
    tolerance: float | None = None

    @property
    def ok(self) -> bool:
        """Whether there was something to judge and it is within the tolerance."""
        if self.realised is None or self.configured is None or self.tolerance is None:
            return False
        return abs(self.realised - self.configured) <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for result.json."""
        return {
            "packets": self.packets,
            "realised": self.realised,
            "configured": self.configured,
            "tolerance": self.tolerance,
            "ok": self.ok,
            "note": "" if self.packets else "nothing to judge",
        }


def judge_loss(links: list[LinkCount], *, level: float, kernel_drops: int) -> tuple[Quantity, list[str]]:
    """Return the loss over all links, and what is wrong with it; each test is two-sided at `level`."""
    if not links:
        return Quantity(0), []
    log_mgf = _loss_log_mgf(links)
    lost = np.array([count.lost for count in links])
    low, high = loss_chain.accepted(log_mgf, level=level)
    # A kernel drop is known by number, not by link: any of them may be among a link's missing packets.
    outside = (lost < low) | (lost > high + kernel_drops)
    reasons = _name_worst(
        [
            f"{count.source} > {count.target} lost {count.lost} of {count.packets}, allowed {least:.1f} to {most:.1f}"
            for count, least, most, bad in zip(links, low, high + kernel_drops, outside, strict=True)
            if bad
        ]
    )
    total_log_mgf = log_mgf.sum(axis=0)
    total = float(loss_chain.expected(total_log_mgf))
    total_low, total_high = loss_chain.accepted(total_log_mgf, level=level)
    packets = sum(count.packets for count in links)
    tolerance = float(max(total_high + kernel_drops - total, total - total_low))
    quantity = Quantity(packets, float(lost.sum()) / packets, total / packets, tolerance=tolerance / packets)
    return quantity, reasons + _total_reason("loss", quantity)


def _loss_log_mgf(links: list[LinkCount]) -> np.ndarray:
    """Return log E exp(slope x losses) of every link, of shape (links, slopes)."""
    exposed: dict[LinkConfig, list[tuple[int, int]]] = {}
    for index, count in enumerate(links):
        for exposure in count.exposures:
            exposed.setdefault(exposure.config, []).append((index, exposure.packets))
    log_mgf = np.zeros((len(links), len(loss_chain.SLOPES)))
    for config, pairs in exposed.items():
        indices, packets = np.array(pairs).T
        # Links often carry equally many packets; each number is worked out once.
        distinct, which = np.unique(packets, return_inverse=True)
        np.add.at(log_mgf, indices, config.loss_chain().log_mgf(distinct)[which])
    return log_mgf


def judge_delay(
    links: list[LinkCount], *, level: float, lateness: LatencyHistogram, lag: LatencyHistogram
) -> tuple[Quantity, list[str]]:
    """Return the mean delay over all links, and what is wrong with it; every link has received something."""
    if not links:
        return Quantity(0), []
    reach = math.sqrt(2.0 * math.log(2.0 / level))
    total = sum(count.received for count in links)

    @functools.cache
    def host_s(received: int) -> float:
        # Whichever packets a link carried, the host cannot have held them up longer than the worst of all.
        share = received / total
        # The loop's lag counts twice: a timer's task waits for it to leave late, and a reader's to take a packet in late.
        return (RESOLUTION_NS + lateness.worst_mean_ns(share) + 2 * lag.worst_mean_ns(share)) / S

    reasons = []
    configured_sum = variance_sum = unseen_sum = heaviest = 0.0
    for count in links:
        configured, spread, bound = delay_law(count.exposures[0].config)
        received = count.received
        # Packets in flight at the end tend to be the slow ones: their absence may shift the mean by that much.
        unseen = reach * spread * count.in_flight
        heavy = reach**2 * bound / 3.0  # Bernstein's second term, 0 for sub-Gaussian delays
        heaviest = max(heaviest, heavy)
        tolerance = reach * spread / math.sqrt(received) + (unseen + heavy) / received + host_s(received)
        realised = count.own_delay_sum_ns / S / received
        if abs(realised - configured) > tolerance:
            reasons.append(
                f"{count.source} > {count.target} delayed {received} packets by {realised:.6f} s, "
                f"configured {configured:.6f} s, allowed difference {tolerance:.6f} s"
            )
        configured_sum += configured * received
        variance_sum += spread**2 * received
        unseen_sum += unseen
    quantity = Quantity(
        packets=total,
        realised=sum(count.own_delay_sum_ns for count in links) / S / total,
        configured=configured_sum / total,
        tolerance=(reach * math.sqrt(variance_sum) + unseen_sum + heaviest) / total + host_s(total),
    )
    return quantity, _name_worst(reasons) + _total_reason("delay", quantity)


@functools.lru_cache(maxsize=4096)
def delay_law(config: LinkConfig) -> tuple[float, float, float]:
    """Return the mean, spread and bound of the delay in seconds, see `Impairment.delay_spread_s`."""
    return config.mean_delay_s(), config.delay_spread_s(), config.delay_bound_s()


def _name_worst(reasons: list[str]) -> list[str]:
    """Keep a few of many reasons and count the others."""
    more = len(reasons) - _NAMED_LINKS
    return [*reasons[:_NAMED_LINKS], f"and {more} links more like the last"] if more > 0 else reasons


def _total_reason(name: str, quantity: Quantity) -> list[str]:
    if quantity.ok:
        return []
    text = (
        f"{name} over all links is {quantity.realised:.6f}, configured {quantity.configured:.6f}, "
        f"allowed difference {quantity.tolerance:.6f}"
    )
    return [text]
