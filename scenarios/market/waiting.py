"""Pure: how long requests wait in line for a file's bandwidth, and how long a download takes that need not wait.

A file's servers serve its requests whole, the oldest first, at the rates reserved for it: one queue with Poisson arrivals and a
fixed time of service, M/D/1. Its mean time, in times of service, is 1 + ρ / (2 (1 - ρ)) at load ρ (Pollaczek-Khinchine), and a
request need not wait with probability 1 - ρ. With π_j in proportion to p_j s_j every file has the same load: rank then makes
no difference to waits in times of service. In seconds it does: the bandwidth reserved for a file, and with it the time of service,
follows its popularity.

Source: derived here for huberman-wu, section 2 (pooled service of b_ij) and section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence


def line_times(arrivals: Sequence[float], services: Sequence[float]) -> list[float]:
    """Return how long each request of one queue takes, waiting included, when the oldest is served first (Lindley's recursion).

    Args:
        arrivals: when each comes, ascending, in any unit of time.
        services: how long each takes to serve, in the same unit and order.
    """
    times: list[float] = []
    free = float("-inf")
    for arrival, service in zip(arrivals, services, strict=True):
        free = max(free, arrival) + service
        times.append(free - arrival)
    return times


def mean_slowdown(load: float) -> float:
    """Return the mean time in such a queue in times of service, at a load in [0, 1)."""
    return 1 + load / (2 * (1 - load))
