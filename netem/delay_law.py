"""Pure: the law of a delay as a table of quantiles: mean, deviation, distribution, and tail bounds of sums.

Source: tc-netem's jitter; Chernoff's bound; `tails_with_memory` for correlated delays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from netem import tails_with_memory
from netem.tails import SLOPES

CELL = 1.0 / 4096.0
"""The largest step of the grid of probabilities."""

# As far out as a uniform of 53 bits can reach: tails by quarters of halves, so that long ones have their mean, the rest even.
_TAIL = 2.0 ** -np.arange(54.0, 8.0, -0.25)
GRID: np.ndarray = np.concatenate((_TAIL, np.arange(16, 4081) * CELL, 1.0 - _TAIL[1:][::-1], [1.0]))
_LAST = 1.0 - 2.0**-53


class Shape:
    """A distribution by its quantiles, which a law shifts and stretches; compared by identity.

    Args:
        quantiles: float64, finite, never falling; straight between.
        grid: float64, the probabilities they belong to, never falling, from about 0 to 1; one given twice is a step.
    """

    def __init__(self, quantiles: np.ndarray, grid: np.ndarray = GRID) -> None:
        self.quantiles = quantiles
        self.grid = grid
        self._weights = np.diff(grid)
        middles = (quantiles[1:] + quantiles[:-1]) / 2.0
        self.mean = float(self._weights @ middles)
        surplus = quantiles - self.mean
        self.sd = float(np.sqrt(self._weights @ (surplus[1:] ** 2 + surplus[:-1] ** 2) / 2.0))

    @classmethod
    def of(cls, quantile: Callable[[np.ndarray], np.ndarray]) -> Shape:
        """Tabulate a quantile function; it is asked for probabilities strictly between 0 and 1."""
        return cls(np.maximum.accumulate(quantile(np.clip(GRID, _TAIL[0], _LAST))))

    @classmethod
    def of_values(cls, values: np.ndarray) -> Shape:
        """Tabulate equally likely values, sorted."""
        edges = np.arange(len(values) + 1) / len(values)
        return cls(np.repeat(values, 2), np.repeat(edges, 2)[1:-1])

    @functools.cached_property
    def sum_log_mgf(self) -> np.ndarray:
        """An upper bound on log E exp(slope (x - mean) / sd), one element a slope of `SLOPES`; all 0 without spread."""
        return self._log_mgf(self.standard)

    @functools.cached_property
    def square_log_mgf(self) -> np.ndarray:
        """The same of ((x - mean) / sd)^2."""
        return self._log_mgf(self.standard**2)

    @functools.lru_cache(maxsize=64)  # noqa: B019 - shapes are few, and kept anyway
    def correlated_sum_log_mgf(self, correlation: float) -> np.ndarray:
        """Return `sum_log_mgf` a draw of many in a row, each correlated with the next."""
        z = self.standard
        with np.errstate(invalid="ignore", divide="ignore"):
            slopes = np.diff(z) / np.diff(_normal_quantiles(self.grid))
        steepest = float(np.nanmax(slopes)) if not np.isnan(slopes).all() else np.inf
        return tails_with_memory.of_function(z, variance=1.0, correlation=correlation, steepest=steepest)

    @functools.lru_cache(maxsize=64)  # noqa: B019 - as above
    def correlated_square_log_mgf(self, correlation: float) -> np.ndarray:
        """Return `square_log_mgf` a draw of many in a row."""
        if self is normal():
            squares_log_mgf: np.ndarray = SLOPES + tails_with_memory.of_squared_normals(correlation)
            return squares_log_mgf
        surplus = self.standard**2 - 1.0
        squares = surplus**2
        variance = float(self._weights @ (squares[1:] + squares[:-1]) / 2.0)
        log_mgf: np.ndarray = SLOPES + tails_with_memory.of_function(
            surplus, variance=variance, correlation=correlation
        )
        return log_mgf

    @functools.cached_property
    def furthest(self) -> float:
        """The largest distance from the mean, in standard deviations."""
        return float(np.abs(self.standard).max())

    @property
    def standard(self) -> np.ndarray:
        """The quantiles of (x - mean) / sd; all 0 without spread."""
        return (self.quantiles - self.mean) / self.sd if self.sd else np.zeros(len(self.grid))

    def _log_mgf(self, values: np.ndarray) -> np.ndarray:
        # The trapezoid lies above the exponential of what is straight within a cell.
        exponents = SLOPES[:, None] * values
        largest = exponents.max(axis=1)
        tilted = np.exp(exponents - largest[:, None])
        bound: np.ndarray = largest + np.log((tilted[:, 1:] + tilted[:, :-1]) @ self._weights / 2.0)
        return bound


CONSTANT = Shape(np.zeros(len(GRID)))
UNIFORM = Shape.of(lambda u: 2.0 * u - 1.0)  # from -1 to 1


@functools.cache
def normal() -> Shape:
    """Return the standard normal shape; scipy is loaded late, as most links have no normal jitter."""
    return Shape.of(_normal_quantiles)


def _normal_quantiles(probabilities: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    quantiles: np.ndarray = ndtri(probabilities)
    return quantiles


@dataclass(frozen=True, eq=False)
class DelayLaw:
    """A delay of shift_s + scale_s x, with x drawn from `shape`.

    A draw is a function of a reversible chain's state, with at most this `correlation` (0 to below 1) with the next.
    """

    shift_s: float
    scale_s: float = 0.0
    shape: Shape = CONSTANT
    correlation: float = 0.0

    def plus(self, other: DelayLaw) -> DelayLaw | None:
        """Return the law of the sum of two independent delays, one of them constant; None if both vary."""
        if self.sd_s and other.sd_s:
            return None
        varying, constant = (self, other) if self.sd_s else (other, self)
        return replace(varying, shift_s=varying.shift_s + constant.mean_s)

    def clamped(self) -> DelayLaw:
        """Return the law of this delay, or 0 where it is negative."""
        return replace(self, shift_s=0.0, scale_s=1.0, shape=Shape(np.maximum(self._table_s(), 0.0), self.shape.grid))

    def or_none(self, share: float, *, correlation: float) -> DelayLaw:
        """Return the law when a `share` of packets (0 to 1) has no delay; whether they do has a correlation of its own."""
        grid = np.concatenate(([0.0, share], share + (1.0 - share) * self.shape.grid))
        shape = Shape(np.concatenate(([0.0, 0.0], self._table_s())), grid)
        return DelayLaw(0.0, 1.0, shape, max(self.correlation, correlation))

    def _table_s(self) -> np.ndarray:
        quantiles_s: np.ndarray = self.shift_s + self.scale_s * self.shape.quantiles
        return quantiles_s

    @property
    def memory(self) -> float:
        """By how much at most the correlation widens the variance of a mean."""
        return (1.0 + self.correlation) / (1.0 - self.correlation)

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
        return float(self.quantiles_s(np.array(probability)))

    def quantiles_s(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the same of many."""
        quantiles_s: np.ndarray = self.shift_s + self.scale_s * np.interp(
            probabilities, self.shape.grid, self.shape.quantiles
        )
        return quantiles_s

    def share_below(self, delays_s: np.ndarray) -> np.ndarray:
        """Return P(delay <= x), exact to `CELL`."""
        if not self.sd_s:
            constant: np.ndarray = (delays_s >= self.mean_s).astype(np.float64)
            return constant
        x = (delays_s - self.shift_s) / self.scale_s
        quantiles, grid = self.shape.quantiles, self.shape.grid
        above = np.searchsorted(quantiles, x, side="right")
        inner = np.clip(above, 1, len(grid) - 1)
        low, high = quantiles[inner - 1], quantiles[inner]
        within = np.clip((x - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
        share: np.ndarray = grid[inner - 1] + within * (grid[inner] - grid[inner - 1])
        share[above == 0] = 0.0
        share[above == len(grid)] = 1.0
        return share

    def sum_log_mgf(self) -> np.ndarray:
        """Return a bound per packet on log E exp(slope (sum of delays - its mean) / sd_s), correlation included."""
        return self.shape.correlated_sum_log_mgf(self.correlation) if self.correlation else self.shape.sum_log_mgf

    def square_log_mgf(self) -> np.ndarray:
        """The same of the squared deviations from the mean, in squares of sd_s."""
        return self.shape.correlated_square_log_mgf(self.correlation) if self.correlation else self.shape.square_log_mgf
