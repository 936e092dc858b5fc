"""Pure: the policy of a server that believes its bid moves no odds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.policies.base import Policy, View


class PriceTaker(Policy):
    """Put everything on the file with the largest p_ij/π_j; of equals, on the one with the smallest index.

    Source: Huberman and Wu, the price-taking server. Many of them moving at once herd (protocol notes 4.1).
    """

    name: ClassVar[str] = "price_taker"

    def weights(self, view: View) -> np.ndarray:
        """Return 1 for the best held file and 0 for the others."""
        weights = np.zeros(len(view.held))
        weights[int(np.argmax(view.beliefs / view.odds))] = 1.0  # argmax returns the first of equals
        return weights
