"""Pure: the policy of a rational server that knows how its own bid moves the odds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.best_response import best_response
from node.policies.base import ODDS_FLOOR, Policy, View


class BestResponse(Policy):
    """Bid what earns most against the others' bids y_j = π_j - (B_i/Σ_k B_k) f_ij; the fixed points are the Nash equilibria.

    The odds are those of the last board, so a split changed since is taken for the others'; it ceases to matter once splits
    come to rest. By default servers move in random turns: all at once they need not settle. A server that does not know its
    budget yet takes the odds as given.

    Source: huberman-wu, eq. (5) and (6).
    """

    name: ClassVar[str] = "best_response"
    turns: ClassVar[str] = "random:0.2"
    anticipates: ClassVar[bool] = True

    def weights(self, view: View) -> np.ndarray:
        """Return the bids b_ij as shares of all bandwidth."""
        if not view.beliefs.any():
            return np.ones(len(view.held))
        budget = view.budget or ODDS_FLOOR
        others = np.maximum(view.odds - view.budget * view.own, ODDS_FLOOR)
        return best_response(view.beliefs, others, budget)
