"""Pure: claims about the bids of servers in markets of their own, in quiet and while customers download.

In quiet every proven rate stays where newcomers start, so bids come to rest up to what the dynamics have not finished: the bound is what
a simulation of them from the same start leaves. Under load proven rates are estimates. The bound there is a parametric bootstrap: the
equilibria for rates that err as the model says, their distance from the equilibrium for the rates of the run; and again what the simulation, at
the rates of the run, leaves unsettled.

Source: huberman-wu, eq. (5) and (6); scenarios/market/theory.py (`rate_error`); scenarios/solvers (`equilibrium`, `bid_dynamics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netem.randomness import keyed_generator
from node.turns import make_turns
from scenarios.claims import Claim, Record, compare, unjudged
from scenarios.market.odds_claims import proven_error
from scenarios.solvers.bid_dynamics import Plays, Rule, largest_gap, late_share, play, split_distance
from scenarios.solvers.equilibrium import solve

if TYPE_CHECKING:
    from scenarios.market.submarkets import Bids, SubMarket

WINDOW = 10  # boards at the end of a phase that are judged: few enough to be its end, enough to average rates
PLAYS = 100  # simulations that a bound is drawn from
RESAMPLES = 50  # equilibria that a bound is drawn from; its own error is a tenth
DEVIATIONS = 4.0
CANTELLI = 10.0  # standard deviations above the mean: a chance of at most 1 in 101 for any law (Cantelli's inequality)
ROUNDING = 1e-6  # of shares that are broadcast as float32, over some operations
EQUILIBRIUM = "huberman-wu, eq. (5) and (6), solved for the tracker's rates: scenarios/solvers/equilibrium.py"
CERTIFICATE = "huberman-wu, section 3.1: nobody gains by another split; node/best_response.py"

PRICE_TAKERS = ("price_taker", "sticky")
NEVER_NS = 2**63  # for what a run that goes on has not come to yet
OPENING = 5  # boards until every server has heard the odds with its own bid in them, however many were lost


@dataclass(frozen=True, slots=True)
class Phase:
    """What one market's servers bid in one phase of the run.

    Attributes:
        market: which.
        rates: B_i by board, float64 (boards, servers).
        splits: declared f_ij, float64 (boards, servers, files).
    """

    market: SubMarket
    rates: np.ndarray
    splits: np.ndarray

    def mean_rates(self) -> np.ndarray:
        """Return B_i over the last boards."""
        return np.asarray(self.rates[-WINDOW:].mean(axis=0))

    def mean_splits(self) -> np.ndarray:
        """Return f_ij over the last boards."""
        return np.asarray(self.splits[-WINDOW:].mean(axis=0))

    def odds(self) -> np.ndarray:
        """Return the market's own odds by board, float64 (boards, files), each summing to 1."""
        bids = np.einsum("bi,bij->bj", self.rates, self.splits)
        return np.asarray(bids / bids.sum(axis=1, keepdims=True))

    def equilibrium(self, rates: np.ndarray) -> np.ndarray:
        """Return the splits in equilibrium at these rates, float64 (servers, files)."""
        return np.asarray(solve(self.market.beliefs, rates).bids / rates[:, None])

    def rule(self, record: Record) -> Rule:
        """Return the dynamics of price takers if the market's are that, else of best responses, with its turns on the run's network."""
        link = record.params.link()
        return Rule(
            turns=make_turns(self.market.turns),
            anticipates=self.market.policy not in PRICE_TAKERS,
            loss=link.loss_rate(),
            late=late_share(link.mean_delay_s()),
        )


def phases(record: Record, *, crowd: bool) -> list[Phase]:
    """Return every market's bids before the customers came, or while they came; none if there are too few boards."""
    came, left = record.facts.get("crowd_ns", NEVER_NS), record.facts.get("left_ns", NEVER_NS)
    bids: Sequence[Bids] = [
        bid for bid in record.facts["bids"] if (came < bid.time_ns <= left if crowd else bid.time_ns <= came)
    ]
    if len(bids) < 2 * WINDOW:
        return []
    rates = np.array([bid.rates for bid in bids])
    return [
        Phase(market, rates[:, market.servers], np.array([bid.splits[number] for bid in bids]))
        for number, market in enumerate(record.facts["markets"])
    ]


def too_short(name: str, source: str) -> Claim:
    """Fail a claim for want of boards."""
    return unjudged(name, f"fewer than {2 * WINDOW} boards in this phase", source)


def quiet_distance_claim(record: Record) -> Claim:
    """Claim that bids come to rest at the equilibrium before anybody downloads."""
    name = "quiet: bids against the equilibrium (TV)"
    found = phases(record, crowd=False)
    if not found:
        return too_short(name, EQUILIBRIUM)
    measured, left = [], []
    for phase in found:
        aim = phase.equilibrium(phase.mean_rates())
        measured.append(split_distance(phase.mean_splits(), aim))
        left.append([split_distance(splits, aim) for splits in simulated_ends(record, phase)])
    return _judge_distance(
        name, found, measured=float(np.mean(measured)), tolerance=unsettled_bound(np.mean(left, axis=0))
    )


def quiet_gap_claim(record: Record) -> Claim:
    """Claim that in quiet no server could gain by another split: the certificate of an equilibrium."""
    name = "quiet: largest best-response gap"
    found = phases(record, crowd=False)
    if not found:
        return too_short(name, CERTIFICATE)
    measured, left = [], []
    for phase in found:
        beliefs, rates = phase.market.beliefs, phase.mean_rates()
        measured.append(largest_gap(beliefs, phase.mean_splits(), rates))
        left.append([largest_gap(beliefs, splits, rates) for splits in simulated_ends(record, phase)])
    return _judge_gap(name, found, measured=max(measured), tolerance=unsettled_bound(np.max(left, axis=0)))


def crowd_distance_claim(record: Record) -> Claim:
    """Claim that bids stay at the equilibrium for what the tracker measures while customers download."""
    name = "crowd: bids against the equilibrium (TV)"
    found = phases(record, crowd=True)
    if not found:
        return too_short(name, EQUILIBRIUM)
    measured, spread, left = [], [], []
    for phase in found:
        aim = phase.equilibrium(phase.mean_rates())
        measured.append(split_distance(phase.mean_splits(), aim))
        spread.append([split_distance(splits, aim) for splits in resampled(record, phase)])
        left.append([split_distance(splits, aim) for splits in simulated_ends(record, phase)])
    return _judge_distance(
        name,
        found,
        measured=float(np.mean(measured)),
        tolerance=normal_bound(np.mean(spread, axis=0)) + unsettled_bound(np.mean(left, axis=0)),
        note=f"; rates err by {proven_error(record):.2f}",
    )


def crowd_gap_claim(record: Record) -> Claim:
    """Claim that while customers download no server could gain more than the noise of the rates hides from it."""
    name = "crowd: largest best-response gap"
    found = phases(record, crowd=True)
    if not found:
        return too_short(name, CERTIFICATE)
    measured, hidden, left = [], [], []
    for phase in found:
        beliefs, rates = phase.market.beliefs, phase.mean_rates()
        measured.append(largest_gap(beliefs, phase.mean_splits(), rates))
        hidden.append([largest_gap(beliefs, splits, rates) for splits in resampled(record, phase)])
        left.append([largest_gap(beliefs, splits, rates) for splits in simulated_ends(record, phase)])
    tolerance = unsettled_bound(np.max(hidden, axis=0)) + unsettled_bound(np.max(left, axis=0))
    return _judge_gap(name, found, measured=max(measured), tolerance=tolerance)


def simulated(record: Record, phase: Phase) -> Plays:
    """Return simulations of the phase at its rates, from the splits that it opened with."""
    return play(
        phase.rule(record),
        phase.market.beliefs,
        rates=phase.rates[OPENING:],
        start=_whole(phase.splits[OPENING]),
        plays=PLAYS,
        chance=keyed_generator(0, "bid-dynamics", phase.market.name),
    )


def simulated_ends(record: Record, phase: Phase) -> np.ndarray:
    """Return the mean splits over the last boards of simulations of the phase, float64 (plays, servers, files)."""
    return np.asarray(simulated(record, phase).splits[-WINDOW:].mean(axis=0))


def resampled(record: Record, phase: Phase) -> np.ndarray:
    """Return the splits in equilibrium at rates that err as proven rates do, independently, float64 (resamples, servers, files)."""
    chance = keyed_generator(0, "rates", phase.market.name)
    error, rates = proven_error(record), phase.mean_rates()
    factors = np.exp(error * chance.standard_normal((RESAMPLES, len(rates))))
    return np.array([phase.equilibrium(rates * factor) for factor in factors])


def normal_bound(values: np.ndarray) -> float:
    """Return the mean plus `DEVIATIONS` standard deviations of values drawn from the model."""
    return float(values.mean() + DEVIATIONS * values.std(ddof=1))


def unsettled_bound(values: np.ndarray) -> float:
    """Return what simulated values >= 0 seldom exceed, whatever their law: their mean plus `CANTELLI` standard deviations.

    What bids have not settled shrinks at a random rate, so it is far from normal.
    """
    return max(float(values.mean() + CANTELLI * values.std(ddof=1)), ROUNDING)


def _judge_distance(name: str, found: Sequence[Phase], *, measured: float, tolerance: float, note: str = "") -> Claim:
    believed = float(
        np.mean([split_distance(each.market.beliefs, each.equilibrium(each.mean_rates())) for each in found])
    )
    if tolerance >= believed:
        return unjudged(name, f"chance, up to {tolerance:.2f}, would hide even splits as believed", EQUILIBRIUM)
    return compare(
        name,
        predicted=0.0,
        measured=measured,
        tolerance=tolerance,
        source=EQUILIBRIUM,
        note=f"{_markets(found)}; splits as believed would be {believed:.3f} away{note}",
    )


def _judge_gap(name: str, found: Sequence[Phase], *, measured: float, tolerance: float) -> Claim:
    even = max(largest_gap(each.market.beliefs, _whole(0 * each.splits[-1]), each.mean_rates()) for each in found)
    if tolerance >= even:
        return unjudged(name, f"chance, up to {tolerance:.2f}, would hide even bids that are all alike", CERTIFICATE)
    note = f"{_markets(found)}; of bids that are all alike it would be {even:.3f}"
    return compare(name, predicted=0.0, measured=measured, tolerance=tolerance, source=CERTIFICATE, note=note)


def _whole(splits: np.ndarray) -> np.ndarray:
    """Return splits with rows that sum to 1; a server that has declared nothing yet splits evenly."""
    totals = splits.sum(axis=1, keepdims=True)
    even = np.full_like(splits, 1 / splits.shape[1])
    return np.asarray(np.divide(splits, totals, out=even, where=totals > 0.0))


def _markets(found: Sequence[Phase]) -> str:
    servers = sorted({len(phase.market.servers) for phase in found})
    return f"{len(found)} markets of {' to '.join(str(m) for m in sorted({servers[0], servers[-1]}))} servers and {len(found[0].market.files)} files"
