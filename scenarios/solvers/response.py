"""Pure: the odds of servers that respond to them proportionally, each by beliefs of its own, over a network that loses some of it all.

On each board a server multiplies its shares by the square root of p_ij / π_j (`node/policies/proportional_response.py`). The fixed
point is the consensus of eq. (7), with the servers' bandwidths as budgets: whoever ends on several files has the same ratio on all.
The way there is long when beliefs differ, since a share on a file with nearly the largest ratio dies out slowly.

Source: huberman-wu, eq. (7) (each serves where p_ij / π_j is largest); Zhang (ICALP'05) for the rule.
"""

from __future__ import annotations

import numpy as np

from node.policies.base import ODDS_FLOOR
from node.policies.proportional_response import DAMPING, SHARE_FLOOR
from scenarios.solvers.bid_dynamics import board_odds, next_declared


def respond(
    beliefs: np.ndarray,
    start: np.ndarray,
    budgets: np.ndarray,
    *,
    heard: np.ndarray,
    told: np.ndarray,
    late: np.ndarray,
) -> np.ndarray:
    """Return the odds of each board, float64 (runs, boards, files), each summing to 1.

    Args:
        beliefs: p_ij, float64 (servers, files), on any scale.
        start: the shares f_ij that the first board shows, float64 (servers, files), each row summing to 1.
        budgets: B_i as each board weighs it, float64 (boards, servers), on any scale.
        heard: whether a server hears a board, bool (runs, boards, servers).
        told: whether its next heartbeat comes through, so that the next board shows what it says; as `heard`.
        late: whether its heartbeats leave at such a moment that a board shows what it decided on the board before the last, bool
            (runs, servers); see `bid_dynamics.late_share`.
    """
    runs, boards, servers = heard.shape
    files = beliefs.shape[1]
    own = np.broadcast_to(start, (runs, servers, files))
    declared = own
    odds = np.empty((runs, boards, files))
    for board, rates in enumerate(budgets):
        odds[:, board] = board_odds(rates / rates.sum(), declared)
        known = np.maximum(odds[:, board, None], ODDS_FLOOR)
        before, own = own, np.where(heard[:, board, :, None], step(beliefs, own, known), own)
        declared = next_declared(
            declared, before=before, decided=own, late=late[:, :, None], told=told[:, board, :, None]
        )
    return odds


def step(beliefs: np.ndarray, own: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """Return the shares after one board, all arrays with files as their last axis."""
    shares = own * (beliefs / odds) ** DAMPING
    shares = np.maximum(shares / shares.sum(axis=-1, keepdims=True), SHARE_FLOOR / shares.shape[-1])
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))
