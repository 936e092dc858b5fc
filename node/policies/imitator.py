"""Pure: the policy of a server of bounded rationality, which does what another one does."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.policies.base import Policy, View


class Imitator(Policy):
    """Serve one file, drawn with probability π_j, and stay with it.

    Of servers that serve one file each, one drawn in proportion to its bandwidth serves file j with probability π_j: to copy it is
    to draw from the odds, which is all that a server hears of the others.

    Source: huberman-wu, section 3.4, eq. (11) and (12): the irrational servers.
    """

    name: ClassVar[str] = "imitator"
    turns: ClassVar[str] = "once"

    def weights(self, view: View) -> np.ndarray:
        """Return 1 for the file drawn and 0 for the others."""
        bounds = view.odds.cumsum()
        weights = np.zeros(len(view.held))
        weights[min(int(np.searchsorted(bounds, view.draw * bounds[-1], side="right")), len(weights) - 1)] = 1.0
        return weights
