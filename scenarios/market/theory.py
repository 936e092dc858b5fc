"""Pure: what the market's theory predicts for a flash crowd: how the odds settle, and how supply of a new file grows.

Source: huberman-wu, section 3.3, eq. (8) and (9), with the unit of time derived here (see `copy_times`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

_STEP_S = 0.01  # of the integration; far below every time that matters


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Return the total variation distance of two distributions of the same shape, in [0, 1]: half of Σ |p_j - q_j|."""
    return float(np.abs(np.asarray(p) - np.asarray(q)).sum() / 2)


def odds_noise(p: np.ndarray, *, servers: int, relative_error: float) -> np.ndarray:
    """Bound the standard deviation of each π_j around p_j that comes from proven rates being estimates.

    π_j = Σ_i w_i f_ij with w_i = B_i / Σ B_k. When the B_i of m servers have independent relative errors c, then
    var π_j = c² Σ_i w_i² (f_ij - π_j)² <= c² p_j (1 - p_j) / m: a split within [0, 1] varies most when every server puts all
    its bandwidth on one file.

    Args:
        p: request shares, float64 of shape (files,).
        servers: m, how many servers bid, >= 1.
        relative_error: c, standard deviation over mean of a proven rate (see `rate_error`).
    """
    return np.asarray(relative_error * np.sqrt(p * (1 - p) / servers))


def distance_bound(noise: np.ndarray, *, deviations: float = 4.0) -> float:
    """Bound the total variation that independent normal errors of these standard deviations (shape (files,)) lead to.

    TV = half of Σ |e_j| has mean Σ σ_j / sqrt(2 π) and variance (1 - 2/π) Σ σ_j² / 4; the bound is that mean plus
    `deviations` standard deviations.
    """
    mean = float(noise.sum()) / math.sqrt(2 * math.pi)
    return mean + deviations * math.sqrt((1 - 2 / math.pi) * float((noise**2).sum()) / 4)


def rate_error(*, lump_bytes: float, rate_bytes_per_s: float, half_life_s: float) -> float:
    """Return the relative error of a proven rate: bytes are proven in lumps (a verified piece's share) at random times.

    A Poisson stream of lumps L with mean rate B, forgotten exponentially at k = ln 2 / half-life, has variance k L B / 2
    (Campbell's theorem), hence c = sqrt(k L / (2 B)).
    """
    return math.sqrt(math.log(2) / half_life_s * lump_bytes / (2 * rate_bytes_per_s))


def seed_shares(p_new: float, *, old_files: int, servers: int, seeds: int = 1) -> Iterator[float]:
    """Yield the share of its upload that each of the first servers of a new file gives it, board by board.

    It enters with 1/(files held); damped proportional response then multiplies each share by sqrt(p_j / π_j). The old files are
    treated as one: they are in equilibrium among themselves.
    """
    share = 1 / (old_files + 1)
    while True:
        yield share
        odds = seeds * share / servers
        new, old = share * math.sqrt(p_new / odds), (1 - share) * math.sqrt((1 - p_new) / (1 - odds))
        share = new / (new + old)


def copy_times(
    arrivals_s: Sequence[float],
    shares: Iterator[float],
    *,
    copy_s: float,
    board_s: float,
    notice_s: float,
    seeds: int = 1,
) -> list[float]:
    """Predict when each request for a new file is finished, while supply and not the odds limits it.

    The paper's eq. (8), dπ = π dt, has no unit of time. Here it has one: the S servers of the file serve the oldest request
    together, each with bandwidth b, so a copy of s bytes takes τ/S with τ = s/b, and each finished copy adds a server:
    dS/dt = S/τ. While requests wait, k seeds come to S servers in τ (1/k + ... + 1/(S-1)), about τ ln(S/k); S copies of one take τ (1 + 1/2 + ... + 1/(S-1)), about τ (ln S + 0.577): the
    paper's T ~ log(p/π(0)), eq. (9), in units of τ, the time in which one server uploads one copy. It bends where the
    paper's assumptions end: when requests come more slowly than copies could be made, supply follows demand; the first servers
    need a few boards to move their upload to the file (`shares`); and a new server is noticed a little later.

    Args:
        arrivals_s: when each request arrives after the release, ascending, in seconds.
        shares: the first servers' share on the file, board by board (`seed_shares`).
        copy_s: τ in seconds, > 0.
        board_s: seconds between boards.
        notice_s: seconds from a copy's end until downloaders use its server.
        seeds: how many servers have the file at first, >= 1.

    Returns:
        When each request is finished, in seconds after the release, in order.
    """
    finished: list[float] = []
    now_s, next_board_s, share, done = 0.0, 0.0, 0.0, 0.0
    while len(finished) < len(arrivals_s):
        if now_s >= next_board_s:
            share = next(shares)
            next_board_s += board_s
        if arrivals_s[len(finished)] <= now_s:
            noticed = sum(end_s + notice_s <= now_s for end_s in finished)
            done += (seeds * share + noticed) * _STEP_S / copy_s
        now_s += _STEP_S
        if done >= 1:
            done = 0.0
            finished.append(now_s)
    return finished


def growth_time(ratio: float) -> float:
    """Return eq. (9) in e-folding times: ln(p / π(0)) for a ratio p / π(0) >= 1."""
    return math.log(ratio)
