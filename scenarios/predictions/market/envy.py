"""Pure: how fair and how efficient bids are, by what each server believes.

U_i(k) is what server i would earn with k's bids, Σ_j p_ij b_kj / Σ_l b_lj. `envy_free_ratio` is the least U_i(i) / (U_i(k) B_i / B_k)
over servers i and k (1 at most, for k = i): in every equilibrium at least 2 sqrt(2) - 2 = 0.828 with equal budgets.
`uniformity` is the least utility per budget over the largest; `efficiency` is Σ_i U_i over its maximum Σ_j max_i p_ij.
Where nothing that anybody wants is bid on, ratios are null.

Source: huberman-wu, section 3.1, and Zhang (ICALP'05), which it cites.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from netem.errors import ConfigError
from node.best_response import shares
from scenarios.predictions.market_input import Beliefs, Budgets, Matrix, beliefs_of, matrix_of


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """p_ij by server and file, or one list that all servers share; B_i by server; b_ij in any unit."""

    beliefs: Beliefs
    budgets: Budgets
    bids: Matrix


def predict(given: Input) -> dict[str, Any]:
    """Return envy_free_ratio, uniformity and efficiency.

    Raises:
        ConfigError: shapes that do not fit.
    """
    beliefs, budgets = beliefs_of(given.beliefs, given.budgets)
    bids = matrix_of(given.bids, field="bids")
    if bids.shape != beliefs.shape:
        shapes = ["{} x {}".format(*array.shape) for array in (bids, beliefs)]
        raise ConfigError("bids", shapes[0], f"{shapes[1]} numbers, for each server (budgets) and file (beliefs)")
    by_bids_of = beliefs @ shares(bids).T  # U_i(k), per budget of k below
    utilities = by_bids_of.diagonal()
    coveted = by_bids_of / budgets * budgets[:, None]
    ratios = np.divide(utilities[:, None], coveted, out=np.full_like(coveted, np.inf), where=coveted > 0.0)
    per_budget = utilities / budgets
    return {
        "envy_free_ratio": float(ratios.min()) if np.isfinite(ratios).any() else None,
        "uniformity": float(per_budget.min() / per_budget.max()) if per_budget.any() else None,
        "efficiency": float(utilities.sum() / beliefs.max(axis=0).sum()),
    }
