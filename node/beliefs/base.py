"""Pure: what beliefs are.

Source: Huberman and Wu, server i's private probabilities p_ij of a request for file j.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from netem.errors import ConfigError
from netem.randomness import keyed_generator


class Beliefs(ABC):
    """Hold one server's probabilities over the files of the catalogue.

    Args:
        prior: a weight >= 0 per file index.
        noise: how far beliefs scatter among servers, >= 0, in the kind's own unit.
        chance: this server's own randomness, for kinds that have some.

    Raises:
        ConfigError: a weight is negative or not finite.
    """

    name: ClassVar[str]

    def __init__(
        self,
        prior: Sequence[float] | np.ndarray = (),
        *,
        noise: float = 0.0,
        chance: np.random.Generator | None = None,
    ) -> None:
        self._noise = noise
        self._chance = chance or keyed_generator(0, "beliefs")
        self.adopt(prior)

    def adopt(self, prior: Sequence[float] | np.ndarray) -> None:
        """Take another prior from now on, with draws of its own; what was learned from requests stays.

        Raises:
            ConfigError: a weight is negative or not finite; nothing changed.
        """
        weights = np.array(prior, dtype=np.float64)
        if weights.ndim != 1 or not np.all(np.isfinite(weights)) or np.any(weights < 0.0):
            raise ConfigError("beliefs", prior, "finite weights >= 0, one per file")
        self._prior = self._own(weights)

    def _own(self, prior: np.ndarray) -> np.ndarray:
        """Return what this server makes of a prior that it adopts, float64 of the same shape."""
        return prior

    @abstractmethod
    def observe(self, file: int, download: bytes) -> None:
        """Learn that a download (16 bytes) asked this server for a file; told again, it changes nothing."""

    @abstractmethod
    def weights(self, n_files: int) -> np.ndarray:
        """Return a weight >= 0 per file, float64 (n_files,)."""

    def probabilities(self, n_files: int) -> np.ndarray:
        """Return p_ij, float64 (n_files,), >= 0, summing to 1 up to rounding; uniform if no file has a weight."""
        weights = self.weights(n_files)
        total = float(weights.sum())
        return weights / total if total > 0.0 else np.full(n_files, 1.0 / max(n_files, 1))

    def _prior_of(self, n_files: int, *, beyond: float) -> np.ndarray:
        """Return the prior of the first `n_files` files, with `beyond` for those it does not name."""
        weights = np.full(n_files, beyond)
        known = min(n_files, len(self._prior))
        weights[:known] = self._prior[:known]
        return weights
