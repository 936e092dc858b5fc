"""Servers that know how their bids move the odds, each with beliefs of its own: do live bids come to the Nash equilibrium, and stay?

Question: in disjoint markets, servers with beliefs drawn from a Dirichlet law answer the odds with their best response. Do their bids
come to rest at the equilibrium of eq. (5) and (6), first in quiet, then while customers download and bandwidth has to be proven? Is it
almost free of envy, and does every server earn what eq. (1) to (4) say, discounted, on a lossy network?

Income is discounted from when a download was asked for, which is the clock of eq. (2); settlement follows later by the download's own time
and two seconds. A show of T seconds sees Σ_j q_ij λ_j (1 - e^(-δT)) / δ of the income, and (1 - e^(-2δT)) of its variance: the integrals of
e^(-δt) and e^(-2δt) up to T.

Source: huberman-wu, sections 2 and 3.1, eq. (1) to (6); Zhang (ICALP'05) for envy.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from netem.clock import S
from node.best_response import shares
from node.policies import make_policy, policy_names
from node.turns import ALLOWED, make_turns
from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.market.bid_claims import (
    DEVIATIONS,
    crowd_distance_claim,
    crowd_gap_claim,
    phases,
    quiet_distance_claim,
    quiet_gap_claim,
    too_short,
)
from scenarios.market.submarkets import Bids, SubMarket, SubMarketParams, choose_files, open_markets, trade
from scenarios.parameters import param
from scenarios.predictions.market import envy, utility
from scenarios.shared_claims import shared_claims
from scenarios.testbed import Bed
from tracker.events import DownloadSettled, FeeHeld

ENVY_FREE = 2 * math.sqrt(2) - 2
ENVY_NAME = "quiet: least envy ratio, equal budgets"
ENVY = "huberman-wu, section 3.1; Zhang (ICALP'05): 2 sqrt(2) - 2 in every equilibrium"
INCOME_NAME = "discounted income, worst server (deviations)"
INCOME = "huberman-wu, eq. (1) to (4), over a finite time: `swarmbed predict market.utility`"
SHARE_NAME = "paid shares on shares of bids, slope"
SHARE = "huberman-wu, eq. (1), for each request at its time"
FEWEST_WHOLE = 20  # downloads, for the spread of their shares to be known


class Params(SubMarketParams, frozen=True, kw_only=True):
    """How many markets there are, how large, and how far beliefs differ."""

    load: Annotated[float, param("requested bytes/s over the upload of all servers", unit="1", gt=0, le=1)] = 0.6
    markets: Annotated[int, param("disjoint markets", unit="1", ge=1, le=100)] = 2
    servers: Annotated[int, param("servers in each", unit="nodes", ge=2, le=100)] = 5
    files: Annotated[int, param("files in each", unit="files", ge=2, le=100)] = 4
    concentration: Annotated[
        float, param("of the Dirichlet law of beliefs: the larger, the more alike", unit="1", ge=0.5, le=1000)
    ] = 3.0
    policy: Annotated[
        str, param(f"how servers split their upload: {', '.join(policy_names())}, or your own FILE.py")
    ] = "best_response"
    turns: Annotated[str, param(f"when servers decide anew: {ALLOWED}")] = "damped:0.3"
    discount: Annotated[float, param("delta, per second, at which income is discounted", unit="1", gt=0, le=10)] = 0.03

    def __post_init__(self) -> None:
        """Refuse a policy or turns that there are not."""
        super().__post_init__()
        make_policy(self.policy)
        make_turns(self.turns)

    def server_count(self) -> int:
        """Return how many nodes are servers."""
        return self.markets * self.servers

    def standard_files(self) -> int:
        """Return how many files of the standard library there are to choose from."""
        return max(super().standard_files(), self.markets * self.files)


async def run(bed: Bed) -> None:
    """Play the scenario: servers bid in quiet, then the customers come."""
    params: Params = bed.params
    each = params.files
    files = choose_files(bed.content, markets=params.markets, files=each)
    markets = [
        SubMarket(
            name=f"market {number}",
            servers=range(number * params.servers, (number + 1) * params.servers),
            files=range(number * each, (number + 1) * each),
            beliefs=bed.chance("beliefs", number).dirichlet(np.full(each, params.concentration), params.servers),
            policy=params.policy,
            turns=params.turns,
        )
        for number in range(params.markets)
    ]
    await open_markets(bed, markets, files)
    await trade(bed)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then bids, envy and income."""
    return [
        *shared_claims(record),
        quiet_distance_claim(record),
        quiet_gap_claim(record),
        envy_claim(record),
        crowd_distance_claim(record),
        crowd_gap_claim(record),
        *income_claims(record),
    ]


def envy_claim(record: Record) -> Claim:
    """Claim that by its own beliefs no server would earn much more with another's bids: 0.828 of it at least."""
    found = phases(record, crowd=False)
    if not found:
        return too_short(ENVY_NAME, ENVY)
    ratios = [
        envy.predict(
            envy.Input(
                beliefs=phase.market.beliefs.tolist(),
                budgets=phase.mean_rates().tolist(),
                bids=(phase.mean_splits() * phase.mean_rates()[:, None]).tolist(),
            )
        )["envy_free_ratio"]
        for phase in found
    ]
    least = min(ratios)
    unequal = max(float(np.ptp(phase.mean_rates()) / phase.mean_rates().mean()) for phase in found)
    return Claim(
        name=ENVY_NAME,
        predicted=ENVY_FREE,
        measured=least,
        tolerance=0.0,
        ok=bool(least >= ENVY_FREE and unequal < 1e-9),
        source=ENVY,
        note="at least; 1 is no envy at all" if unequal < 1e-9 else f"budgets differ by {unequal:.1%}",
    )


def income_claims(record: Record) -> list[Claim]:
    """Judge incomes, unless a topology gives servers uploads that the shares b_ij / π_j are not known for."""
    if record.params.topology:
        return [
            assumed(name, "a topology gives nodes links of their own", INCOME) for name in (INCOME_NAME, SHARE_NAME)
        ]
    return [income_claim(record), share_claim(record)]


def income_claim(record: Record) -> Claim:
    """Claim that every server's discounted income is the prediction for its mean bids, up to the chance of requests."""
    found = phases(record, crowd=True)
    if not found:
        return too_short(INCOME_NAME, INCOME)
    params: Params = record.params
    until_ns = record.facts.get("left_ns", record.facts["bids"][-1].time_ns)
    delta, length_s = params.discount, (until_ns - record.facts["crowd_ns"]) / S
    earned = sum((each.factor * each.paid for each in payments(record)), start=np.zeros(len(record.facts["servers"])))
    seen, seen_variance = 1 - np.exp(-delta * length_s), 1 - np.exp(-2 * delta * length_s)
    worst, least = 0.0, np.inf
    for phase in found:
        rates_per_s = record.facts["rates_per_s"][phase.market.files]
        bids = phase.splits.mean(axis=0)  # times the upload, which is the same for all
        told = utility.predict(utility.Input(bids=bids.tolist(), rates=rates_per_s.tolist(), discount=delta))
        mean, sd = np.array(told["utilities"]) * seen, np.array(told["sd"]) * np.sqrt(seen_variance)
        worst = max(worst, float(np.abs((earned[phase.market.servers] - mean) / sd).max()))
        least = min(least, float((mean / sd).min()))
    if least <= DEVIATIONS:
        why = f"one expects {least:.1f} deviations of income only: chance would hide that it earned nothing"
        return unjudged(INCOME_NAME, why, INCOME)
    return compare(
        INCOME_NAME,
        predicted=0.0,
        measured=worst,
        tolerance=DEVIATIONS,
        source=INCOME,
        note=f"of {params.server_count()} servers; income in fees, discounted by {delta:g}/s from the request on, over {length_s:.0f} s; "
        f"no income at all would be {least:.1f} off",
    )


def share_claim(record: Record) -> Claim:
    """Claim that what each server was paid of a fee follows its share of the bids one to one: the slope of the one on the other.

    Whole downloads only. Shares of a download depend on each other, downloads do not: their scatter around the line gives the error.
    """
    whole = [payment for payment in payments(record) if payment.whole]
    if len(whole) < FEWEST_WHOLE:
        return unjudged(SHARE_NAME, f"{len(whole)} whole downloads", SHARE)
    paid, due = np.array([payment.paid for payment in whole]), np.array([payment.due for payment in whole])
    apart = due - due.mean()
    spread = float((apart * due).sum())
    slope = float((apart * paid).sum()) / spread
    error = float(np.sqrt(((apart * (paid - slope * due)).sum(axis=1) ** 2).sum())) / spread
    return compare(
        SHARE_NAME,
        predicted=1.0,
        measured=slope,
        tolerance=DEVIATIONS * error,
        source=SHARE,
        note=f"{len(whole)} downloads; a share is {float(np.sqrt(((paid - due)[due > 0] ** 2).mean())):.3f} off in the mean square",
    )


@dataclass(frozen=True, slots=True)
class Payment:
    """What one download paid each server, and what eq. (1) says it should, in fees, float64 (servers,).

    `factor` discounts it to when the customers came, from the request on; `whole` says whether all of it was delivered before the run ended.
    """

    paid: np.ndarray
    due: np.ndarray
    factor: float
    whole: bool


def payments(record: Record) -> list[Payment]:
    """Return what every download paid, in the order of settlement; a share is due by the splits of the last board before the request."""
    place = {node: number for number, node in enumerate(record.facts["servers"])}
    bids: Sequence[Bids] = record.facts["bids"]
    posted = [bid.time_ns for bid in bids]
    asked = {held.download: (time_ns, held) for time_ns, held in record.trace.of(FeeHeld)}
    found = []
    for _, settled in record.trace.of(DownloadSettled):
        time_ns, held = asked[settled.download]
        factor = float(np.exp(-record.params.discount * (time_ns - record.facts["crowd_ns"]) / S))
        paid, due = np.zeros(len(place)), np.zeros(len(place))
        for node, credits_paid in settled.payouts:
            if node in place:
                paid[place[node]] = credits_paid / held.fee_credits
        splits = bids[max(0, bisect(posted, time_ns) - 1)].splits
        for market, split in zip(record.facts["markets"], splits, strict=True):
            if held.index in market.files:
                due[market.servers] = shares(split)[:, held.index - market.files.start]
        found.append(Payment(paid, due, factor=factor, whole=not settled.refund_credits))
    return found
