"""All servers answer the odds at once, or take turns, or go part of the way: which of them settle?

Question: five markets with the same beliefs play side by side. In two, everybody moves on every board, to the best response or to the file with
the largest p/π; in the others servers take random turns, go a part of the way, or seldom look. On the same board all see the same bargain, and
nobody sees the others go for it: do those who move at once chase each other from file to file for ever, while the others come to π = p, where
no server could gain?

With common beliefs the equilibrium is b_ij = p_j B_i for any budgets. What each kind of turns makes of it is predicted by simulating the same
dynamics without a network, from the splits of the first board on and at the rates that the tracker measured: chance remains in who has a turn
and what is lost.

Source: huberman-wu, section 3.1 and eq. (5), (6); protocol notes 4.1 (dynamics).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from scenarios.claims import Claim, Record, compare, unjudged
from scenarios.market.bid_claims import (
    DEVIATIONS,
    OPENING,
    ROUNDING,
    Phase,
    phases,
    simulated,
    too_short,
    unsettled_bound,
)
from scenarios.market.crowd import zipf_shares
from scenarios.market.submarkets import SubMarket, SubMarketParams, choose_files, open_markets, trade
from scenarios.market.theory import total_variation
from scenarios.parameters import Duration, Nodes, param
from scenarios.shared_claims import shared_claims
from scenarios.solvers.bid_dynamics import largest_gap, movement
from scenarios.testbed import Bed

HERDS = (("best_response", "all"), ("price_taker", "all"))
SETTLES = (("best_response", "random:0.2"), ("best_response", "damped:0.3"))
SELDOM = (
    ("sticky", "random:0.2"),
)  # comes near p, and stays restless: a server's whole bandwidth is the least that moves
KINDS = (*HERDS, *SETTLES, *SELDOM)
BOARDS = 20  # at the end of a phase that are judged: who herds has no end to wait for, so many are better than few
DYNAMICS = "protocol notes 4.1, simulated: scenarios/solvers/bid_dynamics.py"


class Params(SubMarketParams, frozen=True, kw_only=True):
    """How large the five markets are."""

    nodes: Nodes = 48
    quiet_s: Annotated[float, param("how long servers bid before the customers come", ge=0, le=3600)] = 60.0
    duration_s: Duration = 30.0
    load: Annotated[float, param("requested bytes/s over the upload of all servers", unit="1", gt=0, le=1)] = 0.15
    servers: Annotated[int, param("servers in each market", unit="nodes", ge=2, le=100)] = 8
    files: Annotated[int, param("files in each", unit="files", ge=2, le=100)] = 4
    zipf: Annotated[float, param("exponent of the files' popularity", unit="1", ge=0, le=5)] = 0.8

    def server_count(self) -> int:
        """Return how many nodes are servers."""
        return len(KINDS) * self.servers

    def standard_files(self) -> int:
        """Return how many files of the standard library there are to choose from."""
        return max(super().standard_files(), len(KINDS) * self.files)


async def run(bed: Bed) -> None:
    """Play the scenario: servers bid in quiet, then the customers come."""
    params: Params = bed.params
    each = params.files
    files = choose_files(bed.content, markets=len(KINDS), files=each)
    markets = [
        SubMarket(
            name=f"{policy} {turns}",
            servers=range(number * params.servers, (number + 1) * params.servers),
            files=range(number * each, (number + 1) * each),
            beliefs=np.tile(zipf_shares(each, params.zipf), (params.servers, 1)),
            policy=policy,
            turns=turns,
        )
        for number, (policy, turns) in enumerate(KINDS)
    ]
    await open_markets(bed, markets, files)
    await trade(bed)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then how far each market comes to rest."""
    quiet, crowd = phases(record, crowd=False), phases(record, crowd=True)
    if not (quiet and crowd and min(len(quiet[0].rates), len(crowd[0].rates)) > BOARDS + OPENING):
        return [*shared_claims(record), too_short("movement of the odds per board (TV)", DYNAMICS)]
    return [
        *shared_claims(record),
        *(claim for phase in quiet for claim in rest_claims(record, phase, when="quiet")),
        *(claim for phase in crowd for claim in rest_claims(record, phase, when="crowd")[:1]),
    ]


def rest_claims(record: Record, phase: Phase, *, when: str) -> list[Claim]:
    """Claim how much a market's odds move per board, how far from p they are, and what its servers miss by their splits."""
    played = simulated(record, phase)
    beliefs, rates, splits = phase.market.beliefs, phase.rates[-BOARDS:], phase.splits[-BOARDS:]
    name, drawn = f"{when}, {phase.market.name}", played.splits[-BOARDS:].swapaxes(0, 1)
    even = np.full_like(splits, 1 / splits.shape[-1])
    return [
        _claim(
            phase,
            f"{name}: movement of the odds per board (TV)",
            measured=float(movement(phase.odds()[-BOARDS - 1 :])),
            drawn=movement(played.odds[-BOARDS - 1 :]),
        ),
        _claim(
            phase,
            f"{name}: odds against p (TV)",
            measured=_from_p(phase.odds()[-BOARDS:], beliefs[0]),
            drawn=np.array([_from_p(odds, beliefs[0]) for odds in played.odds[-BOARDS:].swapaxes(0, 1)]),
            even=_from_p(even[:, 0], beliefs[0]),
        ),
        _claim(
            phase,
            f"{name}: best-response gap",
            measured=_gap(beliefs, splits, rates),
            drawn=np.array([_gap(beliefs, play, rates) for play in drawn]),
            even=_gap(beliefs, even, rates),
        ),
    ]


def _claim(phase: Phase, name: str, *, measured: float, drawn: np.ndarray, even: float = np.inf) -> Claim:
    """Hold a market that settles to what the simulation leaves at most, and any other to what the simulation does.

    The first is not judged when even splits, which would measure `even`, could pass for it.
    """
    if (phase.market.policy, phase.market.turns) in SETTLES:
        bound = unsettled_bound(drawn)
        if bound >= even:
            return unjudged(name, f"what is unsettled, up to {bound:.2f}, would hide even splits", DYNAMICS)
        return compare(name, predicted=0.0, measured=measured, tolerance=bound, source=DYNAMICS)
    restless, tolerance = float(drawn.mean()), max(float(DEVIATIONS * drawn.std(ddof=1)), ROUNDING)
    if tolerance >= restless:
        return unjudged(
            name, f"{restless:.2f} is expected, and chance, up to {tolerance:.2f}, would hide rest", DYNAMICS
        )
    return compare(name, predicted=restless, measured=measured, tolerance=tolerance, source=DYNAMICS)


def _from_p(odds: np.ndarray, p: np.ndarray) -> float:
    """Return the mean total variation to p of odds by board, float64 (boards, files)."""
    return float(np.mean([total_variation(each, p) for each in odds]))


def _gap(beliefs: np.ndarray, splits: np.ndarray, rates: np.ndarray) -> float:
    """Return the largest gap among servers, on average over boards; splits (boards, servers, files), rates (boards, servers)."""
    return float(np.mean([largest_gap(beliefs, *board) for board in zip(splits, rates, strict=True)]))
