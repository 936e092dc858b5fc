"""Pure: the Nash equilibrium of servers that know how their own bids move the odds, or that there is none.

`bids` are in the unit of the budgets; `odds` sum to 1; server i's utility is Σ_j p_ij b_ij / Σ_k b_kj. `gap` certifies them: the
largest share of the utility of an exact best response that a server misses, at most 1e-8.

Source: huberman-wu, eq. (5) and (6).
"""

from __future__ import annotations

from typing import Any

import msgspec

from node.best_response import shares
from scenarios.predictions.catalogue import NoAnswer
from scenarios.predictions.market_input import Beliefs, Budgets, beliefs_of
from scenarios.solvers.equilibrium import NoEquilibrium, solve


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """p_ij by server and file, or one list that all servers share; B_i by server."""

    beliefs: Beliefs
    budgets: Budgets


def predict(given: Input) -> dict[str, Any]:
    """Return bids, odds, utilities and gap.

    Raises:
        ConfigError: shapes that do not fit.
        NoAnswer: there is no equilibrium.
    """
    beliefs, budgets = beliefs_of(given.beliefs, given.budgets)
    try:
        found = solve(beliefs, budgets)
    except NoEquilibrium as reason:
        raise NoAnswer(f"equilibrium: {reason}") from None
    return {
        "bids": found.bids.tolist(),
        "odds": (found.bids.sum(axis=0) / found.bids.sum()).tolist(),
        "utilities": (beliefs * shares(found.bids)).sum(axis=1).tolist(),
        "gap": found.gap,
    }
