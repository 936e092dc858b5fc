"""Pure: beliefs that differ from server to server."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.beliefs.given import Given


class Heterogeneous(Given):
    """Believe p_ij in proportion to p_j exp(σ z_ij): the prior times log-normal noise of this server's own, drawn when it adopts that.

    σ is `noise`, z_ij are standard normal draws. Renormalised over the files in the catalogue; a file that the prior does not name
    has probability 0.

    Source: huberman-wu, section 3.2 (every server has a subjective belief).
    """

    name: ClassVar[str] = "heterogeneous"

    def _own(self, prior: np.ndarray) -> np.ndarray:
        return prior * np.exp(self._noise * self._chance.standard_normal(len(prior)))
