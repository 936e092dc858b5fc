"""Pure: beliefs that are given."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.beliefs.base import Beliefs


class Given(Beliefs):
    """Believe the prior until another is adopted, renormalised over the files in the catalogue; a file it does not name has probability 0."""

    name: ClassVar[str] = "given"

    def observe(self, file: int, download: bytes) -> None:
        """Ignore it."""

    def weights(self, n_files: int) -> np.ndarray:
        """Return the prior of the first `n_files` files."""
        return self._prior_of(n_files, beyond=0.0)
