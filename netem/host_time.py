"""Pure: how far the host itself may have shifted packets in time, by its measured lateness and lag.

Source: DESIGN section 3 (timer lateness and event-loop lag are measured).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netem.clock import S
from netem.latency import LatencyHistogram

RESOLUTION_NS = 50_000  # the departure scheduler coalesces to this
ROUNDING_NS = 2
_LATE_SHARES = (0.2, 0.05, 0.01, 0.002, 0.0)


@dataclass(frozen=True)
class HostTime:
    """What is known of the host's timeliness.

    Args:
        lateness: how late departures were, one entry a departure.
        lag: how late the event loop woke up, sampled evenly over the run.
        total: packets received in all.

    Whichever packets some links carried, the host cannot have held them up longer than the worst of all. The loop's lag counts
    twice: a timer's task waits for it to leave late, and a reader's to take a packet in late.
    """

    lateness: LatencyHistogram
    lag: LatencyHistogram
    total: int

    @property
    def measured(self) -> bool:
        """Whether there was a host that could be late; in virtual time there is none."""
        return bool(self.lateness.count or self.lag.count)

    @property
    def early_s(self) -> float:
        """How much earlier than told packets may leave."""
        return (RESOLUTION_NS if self.measured else ROUNDING_NS) / S

    def mean_s(self, packets: np.ndarray) -> np.ndarray:
        """Return how far the mean delay of so many packets may have been shifted."""
        share = packets / max(self.total, 1)
        late: np.ndarray = self.lateness.worst_mean_ns(share) + 2.0 * self.lag.worst_mean_ns(share)
        return late / S + self.early_s

    def root_mean_square_s(self, packets: np.ndarray) -> np.ndarray:
        """Return the most that the root mean square of so many packets' shifts may be, by Minkowski's inequality."""
        share = packets / max(self.total, 1)
        late: np.ndarray = np.sqrt(self.lateness.worst_mean_ns(share, power=2))
        late = late + 2.0 * np.sqrt(self.lag.worst_mean_ns(share, power=2))
        return late / S + self.early_s

    def later(self, packets: int) -> list[tuple[float, float]]:
        """Return pairs (share, late_s): at most such a share of some packets was later than that."""
        if not self.measured:
            return [(0.0, self.early_s)]
        pairs = []
        for late_share in _LATE_SHARES:
            share = 1.0 - late_share * packets / max(self.total, 1)
            late_ns = self.lateness.worst_quantile_ns(share) + 2 * self.lag.worst_quantile_ns(share)
            pairs.append((2.0 * late_share, late_ns / S))
        return pairs
