"""Pure: what is predicted of three markets whose servers hear of the odds differently, from a run's parameters.

`fresh` hears boards as links let it, `lossy` loses many more, `deaf` hears none from the shift of popularity on.

Source: huberman-wu, section 3.3; `scenarios/solvers/relaxation.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netem.clock import S
from node.bidding import HEARTBEAT_NS
from node.policies.proportional_response import DAMPING, SHARE_FLOOR
from node.turns import make_turns
from scenarios.solvers import relaxation
from scenarios.solvers.relaxation import Relaxation, fading, relax
from tracker.limits import FAN_OUT, FAN_OUT_NS, FAN_OUTS

MARKETS = ("fresh", "lossy", "deaf")


def predicted(params: Any, market: str, *, old: np.ndarray, new: np.ndarray, boards: int) -> Relaxation:
    """Return how the odds of a market go from the old shares to the new, both float64 (files,)."""
    return relax(old, new, heard=answered(params, market), ages=ages(params), boards=boards, damping=DAMPING)


def answered(params: Any, market: str) -> float:
    """Return the probability that a server hears a board, and that it is its turn to answer."""
    if market == "deaf":
        return 0.0
    heard = (1 - params.link().loss_rate()) * (1 - (params.odds_loss if market == "lossy" else 0.0))
    return float(heard * make_turns(params.turns or "all").probability)


def ages(params: Any) -> np.ndarray:
    """Return the law of how many boards old an answer is when the tracker makes a board of it."""
    link = params.link()
    at_once = max(FAN_OUT, -(-params.nodes // FAN_OUTS))
    fan_out_s = (-(-params.nodes // at_once) - 1) / 2 * FAN_OUT_NS / S  # until an average member's turn
    return relaxation.ages(
        board_s=params.board_interval_s,
        heartbeat_s=HEARTBEAT_NS / S,
        delay_s=2 * link.mean_delay_s() + fan_out_s,
        loss=link.loss_rate(),
    )


def not_assumed(params: Any, *, files: int) -> str:
    """Say what the user switched off that the prediction rests on, with so many files in each market; "" for nothing."""
    turns = make_turns(params.turns or "all")
    # To ignore the odds is not another assumption: it is what the claims are there to find.
    other_policy = params.policy not in ("proportional_response", "fixed")
    checks = (
        (files < 2, "there is one file in each market, whose popularity cannot shift"),
        (params.shift_s >= params.duration_s, "popularity shifts only after the run"),
        (other_policy, f"the policy is {params.policy}: the prediction is for proportional response"),
        (
            params.beliefs == "learned",
            "beliefs are learned: nobody tells servers of the shift, and requests from before it count for ever",
        ),
        (params.beliefs != "given", f"beliefs are {params.beliefs}: odds go to what servers believe, not to p"),
        (
            turns.step < 1 or not turns.probability,
            f"turns are {params.turns}: the prediction is for whole answers, of all servers or some at random",
        ),
        (params.keep_files > 0, "nodes serve their downloads: they bid on what they happen to hold, not on all files"),
        (params.topology, "a topology gives nodes links of their own, and the prediction is for equal ones"),
    )
    return next((why for off, why in checks if off), "") or _unsettled(params)


def _unsettled(params: Any) -> str:
    fade = fading(heard=answered(params, "fresh"), ages=ages(params), damping=DAMPING)
    settle_s = math.log(SHARE_FLOOR) / math.log(fade) * params.board_interval_s
    if params.shift_s >= settle_s:
        return ""
    return f"odds need some {settle_s:.0f} s from the beginning to settle, and popularity shifts before that"
