"""Pure: beliefs learned from the downloads that asked this server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from node.beliefs.base import Beliefs

PSEUDO_COUNT = 1.0


class Learned(Beliefs):
    """Believe the mean of a Dirichlet posterior: p_j = (prior_j + downloads_j) / Σ_k (prior_k + downloads_k).

    The prior's weights are pseudo-counts; a file it does not name has one. Distinct downloads are counted, so that asking
    again moves nothing. A server hears only of files it holds: the others keep their prior.
    """

    name: ClassVar[str] = "learned"

    def __init__(
        self,
        prior: Sequence[float] | np.ndarray = (),
        *,
        noise: float = 0.0,
        chance: np.random.Generator | None = None,
    ) -> None:
        super().__init__(prior, noise=noise, chance=chance)
        self._seen: set[bytes] = set()
        self._downloads: Counter[int] = Counter()

    def observe(self, file: int, download: bytes) -> None:
        """Count a download once."""
        if download not in self._seen:
            self._seen.add(download)
            self._downloads[file] += 1

    def weights(self, n_files: int) -> np.ndarray:
        """Return pseudo-counts plus counted downloads."""
        weights = self._prior_of(n_files, beyond=PSEUDO_COUNT)
        for file, downloads in sorted(self._downloads.items()):
            if file < n_files:
                weights[file] += downloads
        return weights
