"""Pure: claims about odds that servers with beliefs of their own come to: the consensus, and what long shots gain by it.

Predictions are for the beliefs that were drawn, the splits that servers began with, and their bandwidths as the tracker proved them:
the paper's p_ij and b_i. What then remains of chance is which boards and heartbeats the network loses; it is played often.

Source: huberman-wu, section 3.2, eq. (7); `scenarios/solvers/consensus.py`, `scenarios/solvers/response.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netem.randomness import keyed_generator
from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.market.events import CrowdLeft
from scenarios.market.odds_claims import LAST_BOARDS
from scenarios.market.theory import total_variation
from scenarios.predictions.market import longshot
from scenarios.solvers.bid_dynamics import late_share
from scenarios.solvers.consensus import solve
from scenarios.solvers.response import respond
from tracker.events import BoardPosted

MARKETS = ("diverse", "common")
RUNS = 64  # of the losses
DEVIATIONS = 4.0
WAY = "huberman-wu, eq. (7), on the way: scenarios/solvers/response.py"
LIMIT = "huberman-wu, eq. (7), Eisenberg and Gale: scenarios/solvers/consensus.py"
BIAS = "huberman-wu, section 3.2: 1 less the slope of ln π on ln p"
NAMES = {
    "way": "odds against what beliefs imply by then (TV)",
    "limit": "odds against the consensus (TV)",
    "bias": "long-shot bias, diverse beliefs",
    "none": "long-shot bias, common beliefs",
}


def belief_claims(record: Record) -> list[Claim]:
    """Claim that odds are where the beliefs lead by now, as far from the consensus as that, with its bias and no other."""
    sources = {"way": WAY, "limit": LIMIT}
    if why := _not_assumed(record):
        return [assumed(name, why, sources.get(key, BIAS)) for key, name in NAMES.items()]
    numbers = _numbers(record)
    if len(numbers) < 2 * LAST_BOARDS:
        why = f"fewer than {2 * LAST_BOARDS} boards"
        return [unjudged(name, why, sources.get(key, BIAS)) for key, name in NAMES.items()]
    diverse, common = (Market.of(record, number, numbers) for number in range(len(MARKETS)))
    return [
        _way(diverse),
        _limit(diverse),
        _bias(diverse, NAMES["bias"]),
        _bias(common, NAMES["none"]),
    ]


def _not_assumed(record: Record) -> str:
    params: Any = record.params
    if params.policy != "proportional_response" or params.turns:
        return "the prediction is for proportional response on every board"
    if params.beliefs not in ("heterogeneous", "given"):
        return f"beliefs are {params.beliefs}: the prediction is for some that stay, with a hope for every file"
    if params.keep_files:
        return "downloaders serve too, for a while, and the consensus is that of those who always do"
    return "" if params.zipf else "all files are equally popular: there is no long shot"


def _numbers(record: Record) -> list[int]:
    """Return the boards that count: those for which bandwidths were noted, while the crowd was there."""
    ended_ns = next((now_ns for now_ns, _ in record.trace.of(CrowdLeft)), 2**63)
    noted = record.facts["budgets"]
    return [event.board for now_ns, event in record.trace.of(BoardPosted) if now_ns < ended_ns and event.board in noted]


@dataclass(frozen=True)
class Market:
    """One of the markets, board by board.

    Attributes:
        p: shares of requests, float64 (files,).
        beliefs: p_ij, float64 (servers, files).
        start: f_ij at first, float64 (servers, files).
        budgets: B_i, float64 (boards, servers).
        odds: π_j as posted, float64 (boards, files), each summing to 1.
        loss: of datagrams, in [0, 1).
        way_s: how long a board is on its way, on average.
    """

    p: np.ndarray
    beliefs: np.ndarray
    start: np.ndarray
    budgets: np.ndarray
    odds: np.ndarray
    loss: float
    way_s: float

    @classmethod
    def of(cls, record: Record, number: int, boards: list[int]) -> Market:
        """Return a market by its number, over some boards."""
        facts = record.facts
        beliefs = facts["beliefs"][number]
        servers, files = (slice(number * size, (number + 1) * size) for size in beliefs.shape)
        posted = {event.board: event.shares for _, event in record.trace.of(BoardPosted)}
        odds = np.array([posted[board][files] for board in boards])
        return cls(
            p=facts["popularity"],
            beliefs=beliefs,
            start=facts["start"][servers, files],
            budgets=np.array([facts["budgets"][board][servers] for board in boards]),
            odds=odds / odds.sum(axis=1, keepdims=True),
            loss=record.params.link().loss_rate(),
            way_s=record.params.link().mean_delay_s(),
        )

    @cached_property
    def measured(self) -> np.ndarray:
        """Return the odds' mean over the last boards, float64 (files,)."""
        return np.asarray(self.odds[-LAST_BOARDS:].mean(axis=0))

    @cached_property
    def played(self) -> np.ndarray:
        """Return the same of what the beliefs imply, whatever is lost, float64 (runs, files)."""
        chance = keyed_generator(0, "losses")
        shape = RUNS, *self.budgets.shape
        heard, told = (chance.random(shape) >= self.loss for _ in range(2))
        late = chance.random((RUNS, len(self.beliefs))) < late_share(self.way_s)
        odds = respond(self.beliefs, self.start, self.budgets, heard=heard, told=told, late=late)
        return np.asarray(odds[:, -LAST_BOARDS:].mean(axis=1))

    @cached_property
    def predicted(self) -> np.ndarray:
        """Return the mean of what was played, float64 (files,)."""
        return np.asarray(self.played.mean(axis=0))

    @cached_property
    def tolerance(self) -> float:
        """Bound the total variation from what is predicted that chance leads to: mean and deviations of what was played."""
        apart = np.array([total_variation(odds, self.predicted) for odds in self.played])
        return float(apart.mean() + DEVIATIONS * apart.std(ddof=1))

    @cached_property
    def consensus(self) -> np.ndarray:
        """Return the odds that eq. (7) leads to with the last boards' bandwidths, float64 (files,)."""
        return consensus(self.beliefs, self.budgets[-LAST_BOARDS:].mean(axis=0))


def consensus(beliefs: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Return the Eisenberg-Gale odds, float64 (files,), summing to 1."""
    prices = solve(beliefs, budgets).prices
    return np.asarray(prices / prices.sum())


def bias(p: np.ndarray, odds: np.ndarray) -> float:
    """Return the long-shot bias of some odds, as `market.longshot` predicts it."""
    return float(longshot.predict(longshot.Input(p=p.tolist(), odds=odds.tolist()))["bias"])


def _way(market: Market) -> Claim:
    return compare(
        NAMES["way"],
        predicted=0.0,
        measured=total_variation(market.measured, market.predicted),
        tolerance=market.tolerance,
        source=WAY,
        note=f"{len(market.odds)} boards, mean of the last {LAST_BOARDS}; the requests are "
        f"{total_variation(market.predicted, market.p):.3f} away",
    )


def _limit(market: Market) -> Claim:
    """Claim how far from the consensus the odds still are; by the triangle inequality it holds whenever `_way` does."""
    equal = consensus(market.beliefs, np.ones(len(market.beliefs)))
    return compare(
        NAMES["limit"],
        predicted=total_variation(market.predicted, market.consensus),
        measured=total_variation(market.measured, market.consensus),
        tolerance=market.tolerance,
        source=LIMIT,
        note=f"for bandwidths as proven; for equal ones it is {total_variation(market.consensus, equal):.3f} from there, "
        f"the requests {total_variation(market.consensus, market.p):.3f}, "
        f"the mean belief {total_variation(market.consensus, market.beliefs.mean(axis=0)):.3f}; follows from the claim above",
    )


def _bias(market: Market, name: str) -> Claim:
    spread = float(np.std([bias(market.p, odds) for odds in market.played], ddof=1))
    return compare(
        name,
        predicted=bias(market.p, market.predicted),
        measured=bias(market.p, market.measured),
        tolerance=DEVIATIONS * spread,
        source=BIAS,
        note=f"{bias(market.p, market.consensus):.3f} in the limit; above 0 long shots have more bandwidth than requests",
    )
