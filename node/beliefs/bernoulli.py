"""Pure: beliefs that are certain, and right on average only."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.beliefs.given import Given


class Bernoulli(Given):
    """Believe that only one file will be asked for, drawn by this server from the prior when it adopts that.

    A share p_j of servers believes in file j: the mean of their beliefs is the prior. With two files this is the paper's P_t.

    Source: huberman-wu, eq. (10).
    """

    name: ClassVar[str] = "bernoulli"

    def _own(self, prior: np.ndarray) -> np.ndarray:
        total = float(prior.sum())
        if not total > 0.0:
            return prior
        believed = self._chance.choice(len(prior), p=prior / total)
        return np.asarray(np.eye(1, len(prior), believed)[0])
