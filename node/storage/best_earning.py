"""Pure: the storage policy of a server that wants income.

Source: huberman-wu, section 2 (an optimal subset of files to store) and eq. (1): bandwidth b on file j earns the part b/π_j of its fees.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.storage.base import Shelf, Storage


class BestEarning(Storage):
    """Store what earns most for a unit of bandwidth, and buy what earns more than it costs and than what makes way.

    A place earns fee x requests x share x p_ij/π_j. A file that is not stored is weighed by the odds there would be with this server's
    place added, p_ij/(π_j + share): what is scarce is attractive to the first who buys it, not to the hundredth. That makes
    choosing files a congestion game: servers that decide one after the other come to rest. What is evicted is what has the
    least p_ij/π_j, which keeps scarce files: without them π could not reach p for want of servers.
    """

    name: ClassVar[str] = "best_earning"

    def worth(self, shelf: Shelf) -> np.ndarray:
        """Return expected income, micro-credits."""
        odds = shelf.odds + shelf.share * ~shelf.stored
        return np.asarray(shelf.place_credits * shelf.beliefs / odds)

    def cost(self, shelf: Shelf) -> np.ndarray:
        """Return the price and the fee, micro-credits."""
        return shelf.cost_credits.astype(np.float64)
