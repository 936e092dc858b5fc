"""Pure: the odds of many small servers, each of which takes them as given: the Eisenberg-Gale consensus.

`odds` sum to 1 and are unique; `bids_unique` says whether the bids behind them are. `objective` is max Σ_i B_i ln(Σ_j p_ij x_ij)
over shares x_ij >= 0 of each file; `gap` is how far, over Σ_i B_i, it is at most from the value of bids that were found.

Source: huberman-wu, eq. (7).
"""

from __future__ import annotations

from typing import Any

import msgspec

from scenarios.predictions.catalogue import NoAnswer
from scenarios.predictions.market_input import Beliefs, Budgets, beliefs_of
from scenarios.solvers.consensus import ACCURACY, solve


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """p_ij by server and file, or one list that all servers share; B_i by server."""

    beliefs: Beliefs
    budgets: Budgets


def predict(given: Input) -> dict[str, Any]:
    """Return odds, bids_unique, objective and gap.

    Raises:
        ConfigError: shapes that do not fit.
        NoAnswer: the odds found are not accurate enough.
    """
    beliefs, budgets = beliefs_of(given.beliefs, given.budgets)
    found = solve(beliefs, budgets)
    if not found.gap <= ACCURACY:
        raise NoAnswer(f"consensus: not found to {ACCURACY:g}, only to {found.gap:.2g}")
    return {
        "odds": (found.prices / found.prices.sum()).tolist(),
        "bids_unique": found.bids_unique,
        "objective": found.objective,
        "gap": found.gap,
    }
