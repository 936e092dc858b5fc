"""Pure: beliefs that are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from node.beliefs.base import Beliefs


class Given(Beliefs):
    """Believe the prior until another is adopted, renormalised over the files in the catalogue; a file it does not name has probability 0."""

    name: ClassVar[str] = "given"

    def adopt(self, prior: Sequence[float] | np.ndarray) -> None:
        """See `Beliefs.adopt`."""
        super().adopt(prior)
        self._known = np.empty(0)

    def observe(self, file: int, download: bytes) -> None:
        """Ignore it."""

    def weights(self, n_files: int) -> np.ndarray:
        """Return the prior of the first `n_files` files."""
        return self._prior_of(n_files, beyond=0.0)

    def probabilities(self, n_files: int) -> np.ndarray:
        """See `Beliefs.probabilities`; the same array, not to be changed, until another prior is adopted: every board asks."""
        if len(self._known) != n_files:
            self._known = super().probabilities(n_files)
            self._known.flags.writeable = False
        return self._known
