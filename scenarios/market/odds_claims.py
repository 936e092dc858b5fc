"""Pure: claims about the market's odds, for every scenario in which a crowd asks for files.

Source: huberman-wu, section 3.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from node.bidding import CONTROL_RESERVE
from node.events import PieceAccepted
from node.policies.proportional_response import SHARE_FLOOR
from node.swarm import MAX_SERVERS
from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.market.theory import distance_bound, odds_noise, rate_error, total_variation
from tracker.events import BoardPosted
from tracker.odds import HALF_LIFE_S

# About one memory of the proven rates: fewer boards would judge a moment, more would reach back into the growth.
LAST_BOARDS = 15
ODDS_NAME = "odds against requests (TV)"
OLD_ODDS_NAME = "odds of the old files (TV)"
ODDS = "huberman-wu, section 3.3 (uniform p/π) with eq. (5); noise: scenarios/market/theory.py"

_ELSEWHERE = {
    "price_taker": "it herds, and settles nowhere",
    "sticky": "it herds, and comes near p only after many times the boards that are judged",
    "imitator": "its odds are what chance and the first servers made them",
    "reseed": "it does not look at the odds",
}


def odds_claim(record: Record, p: np.ndarray, *, requests: int, from_ns: int, to_ns: int, growing: str = "") -> Claim:
    """Claim that the odds, averaged over the last boards, are the request shares up to the noise of proven rates.

    Args:
        record: the run.
        p: shares of requests, float64 of shape (files,).
        requests: how many there were in all, for beliefs that are learned.
        from_ns: when p began to hold.
        to_ns: when it ceased to.
        growing: why the last file is left out, since too few servers can hold it yet, and the odds of the others are
            compared among themselves; "" judges all.
    """
    params = record.params
    name = OLD_ODDS_NAME if growing else ODDS_NAME
    if off := unsettled(params):
        return assumed(name, off, ODDS)
    boards = [e for t, e in record.trace.of(BoardPosted) if from_ns < t <= to_ns and len(e.shares) == len(p)]
    if len(boards) < 2 * LAST_BOARDS:
        return unjudged(name, f"fewer than {2 * LAST_BOARDS} boards", ODDS)
    settled = len(p) - bool(growing)
    p = p[:settled] / p[:settled].sum()
    last = boards[-LAST_BOARDS:]
    servers = last[-1].servers
    noise = odds_noise(p, servers=servers, relative_error=proven_error(record))
    # A split keeps SHARE_FLOOR, shared by its files, so that a bid can return: that much is out of place at most.
    tolerance = distance_bound(noise) + SHARE_FLOOR
    if params.beliefs == "learned":
        tolerance += _learning_error(p, requests=requests, servers=servers)
    if tolerance >= _uniform_distance(p):
        return unjudged(name, f"noise up to {tolerance:.2f} would hide even equal bandwidth for all files", ODDS)
    shares = np.mean([e.shares for e in last], axis=0)[:settled]
    note = f"mean of the last {LAST_BOARDS} boards; all files alike would be {_uniform_distance(p):.3f} away"
    return compare(
        name,
        predicted=0.0,
        measured=total_variation(shares / shares.sum(), p),
        tolerance=tolerance,
        source=ODDS,
        note="; ".join(filter(None, [note, growing])),
    )


def unsettled(params: Any) -> str:
    """Say why the odds need not come to the request shares with the parameters of a crowd; "" when they should."""
    if params.policy in _ELSEWHERE:
        return f"the policy is {params.policy}: {_ELSEWHERE[params.policy]}"
    if params.beliefs not in ("given", "learned"):
        return f"beliefs are {params.beliefs}: nothing brings the odds to p but what all believe"
    if params.topology:
        return "a topology gives nodes links of their own, and the noise of the odds is for equal ones"
    return ""


def proven_error(record: Record) -> float:
    """Return the relative error of a proven rate in this run: the lumps are a server's parts of verified pieces."""
    params = record.params
    lumps = np.array([n for _, e in record.trace.of(PieceAccepted) for _, n in e.sources], dtype=float)
    return rate_error(
        lump_bytes=float((lumps**2).sum() / lumps.sum()) if lumps.size else 0.0,  # by size: what a byte is part of
        rate_bytes_per_s=params.upload_bytes_per_s * (1 - CONTROL_RESERVE) * (1 - params.link().loss_rate()),
        half_life_s=HALF_LIFE_S,
    )


def _learning_error(p: np.ndarray, *, requests: int, servers: int) -> float:
    """Bound what learning p from requests adds: sampling, and the pull of one pseudo-count per file."""
    each = max(1.0, requests * min(1.0, MAX_SERVERS / servers))  # requests that one server hears of
    pull = len(p) / (len(p) + each) * _uniform_distance(p)
    return pull + distance_bound(np.sqrt(p * (1 - p) / max(requests, 1)))


def _uniform_distance(p: np.ndarray) -> float:
    return total_variation(np.full(len(p), 1 / len(p)), p)
