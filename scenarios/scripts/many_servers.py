"""The same two opinions held by 2, 4, 8, ... servers: do the odds come to those of price takers as one over the number of servers?

Question: in a market of few servers each anticipates how its bids move the odds, and holds back on the files that it likes best. Sub-markets with the
same two types of beliefs and the same bandwidth in proportion, shared by ever more servers, play side by side. Are their odds those of the
exact equilibrium of so many servers, and does the distance to the consensus of eq. (7), where nobody anticipates, fall as 1/m?

With the default beliefs the consensus has one type on one file only and the other indifferent. Its first-order condition with k servers of each
type is p_1 (Π_1 - b_1) / Π_1² = p_2 (Π_2 - b_2) / Π_2²: own bids b_j of order 1/k beside Π_j are all that differs from p_1 / Π_1 = p_2 / Π_2,
hence the law, once k is large. For finite m the slope is that of the exact equilibria, steeper than -1.

Source: huberman-wu, sections 3.1 and 3.2, eq. (5) to (7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from netem.errors import ConfigError
from node.turns import ALLOWED, make_turns
from scenarios.claims import Claim, Record, compare, unjudged
from scenarios.market.bid_claims import (
    EQUILIBRIUM,
    Phase,
    crowd_distance_claim,
    crowd_gap_claim,
    normal_bound,
    phases,
    quiet_gap_claim,
    resampled,
    simulated_ends,
    too_short,
    unsettled_bound,
)
from scenarios.market.submarkets import SubMarket, SubMarketParams, choose_files, open_markets, trade
from scenarios.market.theory import total_variation
from scenarios.parameters import Duration, Nodes, param
from scenarios.shared_claims import shared_claims
from scenarios.solvers.consensus import solve as consensus
from scenarios.testbed import Bed

SLOPE_NAME = "quiet: slope of ln distance on ln m"
SLOPE = "huberman-wu, eq. (7) as the limit of eq. (5) for many servers: 1/m; scenarios/solvers (equilibrium, consensus)"
MOST_UNDER_LOAD = 8  # servers: with more, the noise of proven rates is larger than their distance
ASYMPTOTIC = 4  # servers from which on the slope is judged: two have each other's whole market to themselves


class Params(SubMarketParams, frozen=True, kw_only=True):
    """What the two types believe, and how many servers the largest market has."""

    nodes: Nodes = 38
    duration_s: Duration = 30.0
    load: Annotated[float, param("requested bytes/s over the upload of all servers", unit="1", gt=0, le=1)] = 0.15
    markets: Annotated[int, param("markets, of 2, 4, 8, ... servers", unit="1", ge=3, le=8)] = 4
    first: Annotated[float, param("what the first type believes of the first of two files", unit="1", gt=0.5, lt=1)] = (
        0.98
    )
    second: Annotated[float, param("what the second type believes of it", unit="1", gt=0, lt=1)] = 0.6
    turns: Annotated[str, param(f"when servers decide anew: {ALLOWED}")] = "damped:0.3"

    def __post_init__(self) -> None:
        """Refuse turns that there are not, and types whose consensus is an equilibrium of a few servers already."""
        super().__post_init__()
        make_turns(self.turns)
        if self.first <= self.second:
            raise ConfigError("second", self.second, f"below first ({self.first:g})")

    def server_count(self) -> int:
        """Return how many nodes are servers: 2 + 4 + 8 + ..."""
        return (2 << self.markets) - 2

    def types(self) -> np.ndarray:
        """Return the beliefs of the two types, float64 (2, 2)."""
        return np.array([[self.first, 1 - self.first], [self.second, 1 - self.second]])


async def run(bed: Bed) -> None:
    """Play the scenario: servers bid in quiet, then the customers come."""
    params: Params = bed.params
    files = choose_files(bed.content, markets=params.markets, files=2)
    counts = [2 << number for number in range(params.markets)]
    markets = [
        SubMarket(
            name=f"{count} servers",
            servers=range(count - 2, 2 * count - 2),
            files=range(2 * number, 2 * number + 2),
            beliefs=np.repeat(params.types(), count // 2, axis=0),
            policy="best_response",
            turns=params.turns,
        )
        for number, count in enumerate(counts)
    ]
    await open_markets(bed, markets, files)
    await trade(bed)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then distances, their slope, and the bids under load."""
    return [
        *shared_claims(record),
        *quiet_claims(record),
        quiet_gap_claim(record),
        *crowd_claims(record),
        crowd_distance_claim(record),
        crowd_gap_claim(record),
    ]


def quiet_claims(record: Record) -> list[Claim]:
    """Claim that the odds settle as far from the consensus as in the exact equilibrium, for every m, and that this falls as 1/m."""
    found = [Distances.of(phase, simulated_ends(record, phase)) for phase in phases(record, crowd=False)]
    if not found:
        return [too_short("quiet: odds to the consensus (TV)", EQUILIBRIUM), too_short(SLOPE_NAME, SLOPE)]
    points = [
        compare(
            f"quiet: odds to the consensus (TV), {each.servers} servers",
            predicted=each.exact,
            measured=each.live,
            tolerance=unsettled_bound(np.abs(each.drawn - each.exact)),
            source=EQUILIBRIUM,
        )
        for each in found
    ]
    return [*points, slope_claim([each for each in found if each.servers >= ASYMPTOTIC])]


def slope_claim(found: Sequence[Distances]) -> Claim:
    """Claim that distances fall with the number of servers as those of the exact equilibria do, which is as 1/m in the limit."""
    counts = [each.servers for each in found]
    exact = slope(counts, [each.exact for each in found])
    unsettled = np.array([abs(slope(counts, play) - exact) for play in np.array([each.drawn for each in found]).T])
    tolerance = unsettled_bound(unsettled)
    if tolerance >= 1:
        return unjudged(SLOPE_NAME, f"a tolerance of {tolerance:.2f} would hide that there is no slope at all", SLOPE)
    return compare(
        SLOPE_NAME,
        predicted=exact,
        measured=slope(counts, [each.live for each in found]),
        tolerance=tolerance,
        source=SLOPE,
        note=f"from {ASYMPTOTIC} servers on; in the limit of many it is -1",
    )


def crowd_claims(record: Record) -> list[Claim]:
    """Claim the same distances at the rates that the tracker measured under load, up to the noise of these and what is unsettled."""
    found = phases(record, crowd=True)
    if not found:
        return [too_short("crowd: odds to the consensus (TV)", EQUILIBRIUM)]
    return [_crowd_claim(record, phase) for phase in found if len(phase.market.servers) <= MOST_UNDER_LOAD]


def _crowd_claim(record: Record, phase: Phase) -> Claim:
    noise, left = (Distances.of(phase, drawn) for drawn in (resampled(record, phase), simulated_ends(record, phase)))
    return compare(
        f"crowd: odds to the consensus (TV), {phase.market.name}",
        predicted=noise.exact,
        measured=noise.live,
        tolerance=normal_bound(np.abs(noise.drawn - noise.exact)) + unsettled_bound(np.abs(left.drawn - left.exact)),
        source=EQUILIBRIUM,
    )


def slope(counts: Sequence[int], distances: Sequence[float] | np.ndarray) -> float:
    """Return the slope of the least-squares line of ln distance on ln m; distances > 0."""
    return float(np.polyfit(np.log(counts), np.log(np.asarray(distances)), 1)[0])


@dataclass(frozen=True, slots=True)
class Distances:
    """How far odds are from the consensus at a phase's mean rates (TV): in equilibrium, live, and for drawn splits, (draws,)."""

    servers: int
    exact: float
    live: float
    drawn: np.ndarray

    @classmethod
    def of(cls, phase: Phase, drawn: np.ndarray) -> Distances:
        """Measure a phase; `drawn` are splits, float64 (draws, servers, files)."""
        rates = phase.mean_rates()
        prices = consensus(phase.market.beliefs, rates).prices

        def distance(splits: np.ndarray) -> float:
            return total_variation(rates @ splits / rates.sum(), prices / prices.sum())

        exact, live = distance(phase.equilibrium(rates)), distance(phase.mean_splits())
        return cls(len(rates), exact, live, np.array([distance(splits) for splits in drawn]))
