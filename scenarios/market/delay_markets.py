"""Pure: the markets of the scenario `delay`: which files and what split of bandwidth each has, and its mean download time.

Source: huberman-wu, sections 2 and 3.3; `swarmbed predict market.delay`; scenarios/market/waiting.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.market.waiting import line_times, mean_slowdown
from scenarios.market.waiting_claims import DEVIATIONS, Mean, Row, Times, extra_s, loss_error, mean_of
from scenarios.parameters import Params
from scenarios.predictions.market.delay import Input, predict
from tracker.messages import BLOCK_BYTES

if TYPE_CHECKING:
    from scenarios.content import Shared


@dataclass(frozen=True, slots=True)
class Market:
    """One of the four markets.

    Args:
        first: the catalogue index of its first file.
        files: what it shares; single ones list a title's copies one after the other.
        p: request shares by title, float64 (titles,).
        shares: π, its split of bandwidth by title, float64 (titles,).
        copies: how many servers have each title when a server has but one, int (titles,).
    """

    first: int
    files: Sequence[Shared]
    p: np.ndarray
    shares: np.ndarray
    copies: np.ndarray


def share_out(shares: np.ndarray, servers: int) -> np.ndarray:
    """Return how many servers each title has: one, then another where there are fewest for its share (Jefferson's method)."""
    counts = np.ones(len(shares), dtype=int)
    for _ in range(servers - len(shares)):
        counts[int(np.argmax(shares / (counts + 1)))] += 1
    return counts


def split_files(files: Sequence[Shared], p: np.ndarray, *, servers: int) -> list[Market]:
    """Return four markets with files in the order given: pooled, then single ones, in each pair π by p before π by √p.

    Args:
        files: those of all markets.
        p: request shares by title, float64 (titles,), summing to 1.
        servers: of a single market, at least one for each title.
    """
    wanted = [p, np.array(predict(Input(p=p.tolist(), model="pooled"))["odds"])]
    copies = [share_out(shares, servers) for shares in wanted]
    first = [0, *np.cumsum([len(p), len(p), servers, servers]).tolist()]
    shares = [*wanted, *(counts / counts.sum() for counts in copies)]
    return [
        Market(first[k], files[first[k] : first[k + 1]], p=p, shares=shares[k], copies=copies[k % 2]) for k in range(4)
    ]


def pooled_mean(params: Params, market: Market, times: Times, *, servers: int) -> Mean:
    """Return Σ_j p_j T_j / (s_j / C), with C what all servers of the market deliver together; by theory it is Σ_j p_j / π_j."""
    predicted = float((market.p / market.shares).sum())
    measured = longer = variance = 0.0
    goodput = params.goodput_bytes_per_s()
    for j, file in enumerate(market.files):
        took = [took_s for _, took_s in times.get(market.first + j, ())]
        if not took:
            return Mean(predicted, None, 0.0, 0.0)
        unit_s = file.size_bytes / (servers * goodput)
        p, share = float(market.p[j]), float(market.shares[j])
        longer_s, deviation_s = extra_s(params, spacing_s=BLOCK_BYTES / (share * goodput), servers=servers)
        measured += p * float(np.mean(took)) / unit_s
        longer += p * longer_s / unit_s
        deviation = p * math.hypot(deviation_s / unit_s, loss_error(params, file.size_bytes) / share)
        variance += deviation**2 / len(took)
    return Mean(predicted, measured, longer, math.sqrt(variance))


def single_mean(params: Params, market: Market, times: Times) -> Mean:
    """Return the mean of T / S, with S what one server takes for the file, of the requests that came, in the lines they met."""
    groups: list[list[Row]] = []
    goodput = params.goodput_bytes_per_s()
    spacing_s = BLOCK_BYTES / goodput
    longer_s, deviation_s = extra_s(params, spacing_s=spacing_s, servers=1)
    for j, file in enumerate(market.files):
        took = times.get(market.first + j, ())
        starts = [start_s for start_s, _ in took]
        service_s = file.size_bytes / goodput
        unlucky = 1 + DEVIATIONS * loss_error(params, file.size_bytes) / math.sqrt(max(1, len(took)))
        expected = line_times(starts, [service_s] * len(took))
        delayed = line_times(starts, [service_s * unlucky] * len(took))
        # The last block is sent twice: of what a download takes longer, a spacing keeps the server from those behind it.
        behind = line_times(starts, [service_s + spacing_s] * len(took))
        rows = [
            Row(took_s, line_s, longer_s + behind_s - line_s - spacing_s, deviation_s, (late_s - line_s) / DEVIATIONS)
            for (_, took_s), line_s, late_s, behind_s in zip(took, expected, delayed, behind, strict=True)
        ]
        groups.append([row.over(service_s) for row in rows])
    return mean_of(groups)


def single_long_run(market: Market, *, load: float) -> float:
    """Return the mean time, in times of service, that requests without end would have in a single market at a load in (0, 1)."""
    return float(sum(p * mean_slowdown(load * p / share) for p, share in zip(market.p, market.shares, strict=True)))
