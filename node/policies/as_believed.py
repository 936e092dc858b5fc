"""Pure: the policy of a server that bids its beliefs and does not look at the odds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.policies.base import Policy, View


class AsBelieved(Policy):
    """Split in proportion to the beliefs, f_j = p_ij, whatever the odds.

    When all servers believe the same and hold everything this is the equilibrium of eq. (5) itself, for any bandwidths, with
    π = p from the first board on; bettors know it as Kelly's rule. It does not learn what others overlook.

    Source: huberman-wu, eq. (5); Kelly (1956).
    """

    name: ClassVar[str] = "as_believed"

    def weights(self, view: View) -> np.ndarray:
        """Return the beliefs."""
        return view.beliefs
