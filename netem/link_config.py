"""Pure: what one directed link does to its packets, and what of that a link remembers.

Source: DESIGN section 3; tc-netem for every field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from netem.combination import Combination
from netem.errors import ConfigError
from netem.packet_chain import MOST_STATES
from netem.rate_queue import UNLIMITED
from netem.slot import Slot

MODES = ("honest", "kernel")
KERNEL_LIMIT_PACKETS = 1000
_MOST_PACKETS = 2**32 - 1
_MOST_OVERHEAD_BYTES = 10_000
LEAST_QUEUE_BYTES = 64 * 1024
_MANY_STATES = "several correlated impairments together have too many states"


@dataclass(frozen=True)
class LinkConfig(Combination):
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
                "cell_overhead_bytes", self.cell_overhead_bytes, "above minus the cell size, and from 0 without cells"
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
