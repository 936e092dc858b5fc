"""Pure: proportional response, the default policy of an honest server.

Source: Zhang (ICALP'05) and Levin et al. (SIGCOMM'08) on proportional response in the market of Huberman and Wu; DESIGN section 4
for the entry bid.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.policies.base import Policy, View

DAMPING = 0.5
SHARE_FLOOR = 1e-3


class ProportionalResponse(Policy):
    """Move each share towards what it earned: f_j <- f_j (p_j/π_j)^(1/2), normalised.

    The fixed points are those of the undamped rule f_j p_j/π_j: p_j/π_j is equal on all files served, which is the
    equilibrium, with π = p when everybody holds everything and beliefs agree. The exponent is there because boards arrive
    late. With x = log(π/p) and boards one round old, the undamped rule is x' = x - x_previous, which has roots of modulus 1
    and oscillates for ever with period six; the damped one shrinks by 0.71 a round, and by 0.5 with fresh boards.

    A file held since the last split enters at 1/(files held). No share falls below 0.001/(files held), so that a bid that
    died out can return; that costs at most 0.001 in total variation.
    """

    name: ClassVar[str] = "proportional_response"

    def weights(self, view: View) -> np.ndarray:
        """Return the next shares, summing to 1 up to the floor."""
        entry = 1.0 / len(view.held)
        own = np.where(view.own > 0.0, view.own, entry)
        weights: np.ndarray = own / own.sum() * (view.beliefs / view.odds) ** DAMPING
        total = float(weights.sum())
        return np.maximum(weights / (total or 1.0), SHARE_FLOOR * entry)
