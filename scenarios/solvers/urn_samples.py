"""Pure: how far the spread of a few urns may be from what it is on average: bounds that hold for any law, by Chernoff's argument.

For independent d >= 0 with mean square distances from the centre, P[Σ d >= s] <= exp(-θ s) E[exp(θ d)]^n for every θ > 0, and
likewise below. That is exact for few urns and a law that is nothing like normal, such as Pólya's.

Source: huberman-wu, section 3.4; Chernoff (1952).
"""

from __future__ import annotations

import math

import numpy as np

_TILTS = 2_000
_LEAST, _MOST = 1e-4, 1e4  # of θ, over the largest square


def mean_square_bounds(law: np.ndarray, *, centre: float, samples: int, surprise: float = 1e-4) -> tuple[float, float]:
    """Return bounds on the mean of (K - centre)² over independent samples, each passed with a probability of at most `surprise`.

    Args:
        law: probabilities of K = 0, 1, ..., float64 (k + 1,).
        centre: in units of K.
        samples: how many there are, >= 1.
        surprise: in (0, 1).
    """
    squares = (np.arange(len(law)) - centre) ** 2
    largest = float(squares.max())
    if not largest:
        return 0.0, 0.0
    tilts = np.geomspace(_LEAST, _MOST, _TILTS) / largest
    price = math.log(1.0 / surprise) / samples
    above = (_log_moments(law, squares, tilts) + price) / tilts
    below = -(_log_moments(law, squares, -tilts) + price) / tilts
    return max(0.0, float(below.max())), min(largest, float(above.min()))


def _log_moments(law: np.ndarray, squares: np.ndarray, tilts: np.ndarray) -> np.ndarray:
    """Return ln E exp(θ d) for each θ, float64 (tilts,)."""
    possible = law > 0.0
    exponents = np.multiply.outer(tilts, squares[possible])
    highest = exponents.max(axis=1)
    return np.asarray(highest + np.log(np.exp(exponents - highest[:, None]) @ law[possible]))
