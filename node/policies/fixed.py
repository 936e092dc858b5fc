"""Pure: the policy that ignores the odds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from node.policies.base import Policy, View


class Fixed(Policy):
    """Split by fixed weights over the held files, whatever the odds; the control for every claim about π.

    Args:
        weights: weight >= 0 by file index; a file not named has 0. Without it, every held file gets the same.
    """

    name: ClassVar[str] = "fixed"

    def __init__(self, weights: Mapping[int, float] | None = None) -> None:
        self._weights = weights

    def weights(self, view: View) -> np.ndarray:
        """Return the fixed weights of the held files."""
        if self._weights is None:
            return np.ones(len(view.held))
        return np.array([self._weights.get(file, 0.0) for file in view.held])
