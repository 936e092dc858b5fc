"""Pure: the law of a delay as a table of quantiles: mean, deviation, distribution, and tail bounds of sums.

Source: tc-netem's jitter; Chernoff's bound.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from netem.tails import SLOPES

CELL = 1.0 / 4096.0
"""The largest step of the grid of probabilities."""

# As far out as a uniform of 53 bits can reach: tails by halves, the rest even.
_TAIL = 2.0 ** -np.arange(54.0, 12.0, -1.0)
GRID: np.ndarray = np.concatenate((_TAIL, np.arange(1, 4096) * CELL, 1.0 - _TAIL[1:][::-1], [1.0]))
_LAST = 1.0 - 2.0**-53
_WEIGHTS = np.diff(GRID, prepend=0.0)[1:]


class Shape:
    """A distribution by its quantiles at `GRID`, which a law shifts and stretches; compared by identity.

    Args:
        quantiles: float64, finite, never falling.
    """

    def __init__(self, quantiles: np.ndarray) -> None:
        self.quantiles = quantiles
        middles = (quantiles[1:] + quantiles[:-1]) / 2.0
        self.mean = float(_WEIGHTS @ middles)
        surplus = quantiles - self.mean
        self.sd = float(np.sqrt(_WEIGHTS @ (surplus[1:] ** 2 + surplus[:-1] ** 2) / 2.0))

    @classmethod
    def of(cls, quantile: Callable[[np.ndarray], np.ndarray]) -> Shape:
        """Tabulate a quantile function; it is asked for probabilities strictly between 0 and 1."""
        return cls(np.maximum.accumulate(quantile(np.clip(GRID, _TAIL[0], _LAST))))

    @functools.cached_property
    def sum_log_mgf(self) -> np.ndarray:
        """An upper bound on log E exp(slope (x - mean) / sd), one element a slope of `SLOPES`; all 0 without spread."""
        return self._log_mgf(self.standard)

    @functools.cached_property
    def square_log_mgf(self) -> np.ndarray:
        """The same of ((x - mean) / sd)^2."""
        return self._log_mgf(self.standard**2)

    @functools.cached_property
    def furthest(self) -> float:
        """The largest distance from the mean, in standard deviations."""
        return float(np.abs(self.standard).max())

    @property
    def standard(self) -> np.ndarray:
        """The quantiles of (x - mean) / sd; all 0 without spread."""
        return (self.quantiles - self.mean) / self.sd if self.sd else np.zeros(len(GRID))

    @staticmethod
    def _log_mgf(values: np.ndarray) -> np.ndarray:
        # The trapezoid lies above the exponential of what is straight within a cell.
        exponents = SLOPES[:, None] * values
        largest = exponents.max(axis=1)
        tilted = np.exp(exponents - largest[:, None])
        bound: np.ndarray = largest + np.log((tilted[:, 1:] + tilted[:, :-1]) @ _WEIGHTS / 2.0)
        return bound


CONSTANT = Shape(np.zeros(len(GRID)))
UNIFORM = Shape.of(lambda u: 2.0 * u - 1.0)  # from -1 to 1


@functools.cache
def normal() -> Shape:
    """Return the standard normal shape; scipy is loaded late, as most links have no normal jitter."""
    from scipy.special import ndtri

    return Shape.of(ndtri)


@dataclass(frozen=True, eq=False)
class DelayLaw:
    """A delay of shift_s + scale_s x, with x drawn from `shape`.

    `memory` is how many packets in a row tell as much as one independent draw: 1 without correlation; with it, the factor
    by which correlation widens the variance of a mean.
    """

    shift_s: float
    scale_s: float = 0.0
    shape: Shape = CONSTANT
    memory: float = 1.0

    def plus(self, other: DelayLaw) -> DelayLaw | None:
        """Return the law of the sum of two independent delays, one of them constant; None if both vary."""
        if self.sd_s and other.sd_s:
            return None
        varying, constant = (self, other) if self.sd_s else (other, self)
        return replace(varying, shift_s=varying.shift_s + constant.mean_s)

    @property
    def mean_s(self) -> float:
        """The mean."""
        return self.shift_s + self.scale_s * self.shape.mean

    @property
    def sd_s(self) -> float:
        """The standard deviation."""
        return self.scale_s * self.shape.sd

    def quantile_s(self, probability: float) -> float:
        """Return the delay that a share of `probability` does not exceed."""
        return float(self.shift_s + self.scale_s * np.interp(probability, GRID, self.shape.quantiles))

    def share_below(self, delays_s: np.ndarray) -> np.ndarray:
        """Return P(delay <= x), exact to `CELL`."""
        if not self.sd_s:
            constant: np.ndarray = (delays_s >= self.mean_s).astype(np.float64)
            return constant
        x = (delays_s - self.shift_s) / self.scale_s
        quantiles = self.shape.quantiles
        above = np.searchsorted(quantiles, x, side="right")
        inner = np.clip(above, 1, len(GRID) - 1)
        low, high = quantiles[inner - 1], quantiles[inner]
        within = np.clip((x - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
        share: np.ndarray = GRID[inner - 1] + within * (GRID[inner] - GRID[inner - 1])
        share[above == 0] = 0.0
        share[above == len(GRID)] = 1.0
        return share

    def sum_log_mgf(self) -> np.ndarray:
        """Return a bound per packet on log E exp(slope (sum of delays - its mean) / sd_s), memory included."""
        bound: np.ndarray = self.shape.sum_log_mgf / self.memory
        return bound

    def square_log_mgf(self) -> np.ndarray:
        """The same of the squared deviations from the mean, in squares of sd_s."""
        bound: np.ndarray = self.shape.square_log_mgf / self.memory
        return bound
