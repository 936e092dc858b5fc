"""Pure: ratios of gamma functions, exact where the functions themselves overflow or cancel.

Source: Stirling's series for ln Γ (Abramowitz and Stegun 6.1.41), differences taken term by term.
"""

from __future__ import annotations

import numpy as np

_LARGE = 32.0  # from here on the next term of the series, about 1 / (1680 x^7), is below 1e-14


def log_gamma_ratio(x: np.ndarray | float, step: float) -> np.ndarray:
    """Return ln Γ(x + step) - ln Γ(x), float64 of the shape of x, to about 1e-14 of its value.

    Args:
        x: above 0, of any size.
        step: in [-2, 2], with x + step > 0.
    """
    at = np.asarray(x, dtype=np.float64)
    shift = np.zeros_like(at)
    small = at < _LARGE
    if small.any():  # Γ(x + 1) = x Γ(x), term by term
        terms = np.where(small, at, _LARGE)[..., None] + np.arange(_LARGE)
        shift = np.where(small, -np.log1p(step / terms).sum(axis=-1), 0.0)
        at = np.where(small, at + _LARGE, at)
    moved = at + step
    stirling = (at - 0.5) * np.log1p(step / at) + step * np.log(moved) - step
    return np.asarray(stirling + _tail(at, moved, step) + shift)


def _tail(at: np.ndarray, moved: np.ndarray, step: float) -> np.ndarray:
    """Return the difference of 1/(12 x) - 1/(360 x³) + 1/(1260 x⁵), moved less at."""
    one, other = 1.0 / moved, 1.0 / at
    apart = -step * one * other  # one - other, without cancellation
    cubes = apart * (one * one + one * other + other * other)
    fifths = apart * (one**4 + one**3 * other + one**2 * other**2 + one * other**3 + other**4)
    return np.asarray(apart / 12.0 - cubes / 360.0 + fifths / 1260.0)
