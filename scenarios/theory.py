"""Pure: what the market's theory predicts for a flash crowd: the growth of a new file's supply, and distances of odds.

Source: huberman-wu, section 3.3, eq. (8) and (9), with the unit of time derived here (see `copies_times`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Return the total variation distance of two distributions, in [0, 1]: half of Σ |p_j - q_j|; same shape."""
    return float(np.abs(np.asarray(p) - np.asarray(q)).sum() / 2)


def copies_times(arrivals_s: Sequence[float], *, copy_s: float, servers: int = 1) -> list[float]:
    """Predict when each request for a new file is finished, while supply and not the odds limits it.

    The paper's eq. (8), dπ = π dt, has no unit of time. Here it has: all S servers of the file serve the oldest request
    together, each with bandwidth b, so a copy of s bytes takes s / (S b); each finished copy adds a server. Hence
    dS/dt = S / τ with τ = s/b, the time in which one server uploads one copy: while requests wait, S copies of a single seed
    take τ (1 + 1/2 + ... + 1/(S-1)), about τ (ln S + 0.577): the paper's T ~ log(p/π(0)), eq. (9), in units of τ.
    When requests come more slowly than copies could be made, supply follows demand instead: S grows with the arrivals.

    Args:
        arrivals_s: when each request arrives, ascending, in seconds.
        copy_s: τ, the seconds in which one server uploads one copy, > 0.
        servers: how many servers there are at first, >= 1.

    Returns:
        When each request is finished, in seconds, in order.
    """
    finished: list[float] = []
    free_s = -math.inf
    for number, arrival_s in enumerate(arrivals_s):
        start_s = max(arrival_s, free_s)
        free_s = start_s + copy_s / (servers + number)
        finished.append(free_s)
    return finished


def growth_time(ratio: float) -> float:
    """Return eq. (9) in e-folding times: ln(p / π(0)) for a ratio >= 1."""
    return math.log(ratio)
