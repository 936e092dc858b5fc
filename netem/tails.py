"""Pure: tail bounds of sums along a Markov chain: how far a count of losses, bursts or copies may honestly stray.

Source: Chernoff's bound, which holds for every number of packets and every state of the chain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Slopes at which tail bounds are tried: any slope gives a valid bound, so a coarse grid costs power, not validity.
_STEEP = np.geomspace(3e-4, 30.0, 40)
SLOPES: np.ndarray = np.concatenate((-_STEEP[::-1], _STEEP))
_MIDDLE = len(SLOPES) // 2
_CHUNK = 512
_NOISE = 1e-5  # what rounding makes of no curvature


class MarkovSum:
    """A sum that every step of a chain adds to.

    Args:
        moves: pairs of a weight and a float64 (states, states) matrix: P(next state, and the step adds this weight). The
            matrices together have rows that sum to 1.
        initial: float64 (states,), the law of the first state.
    """

    __slots__ = ("_initial", "_moves")

    def __init__(self, moves: Sequence[tuple[float, np.ndarray]], *, initial: np.ndarray) -> None:
        reached = _reachable(sum((matrix for _, matrix in moves), np.zeros_like(moves[0][1])), initial)
        # States never reached may be so much likelier under a slope that floats forget the others.
        self._initial = initial[reached]
        self._moves = [(weight, matrix[np.ix_(reached, reached)]) for weight, matrix in moves]

    def log_mgf(self, steps: np.ndarray) -> np.ndarray:
        """Return log E exp(slope x sum) of shape (len(steps), len(SLOPES)); infinite where floats cannot tell.

        Args:
            steps: int64, numbers of steps >= 0.
        """
        parts = [self._log_mgf(steps[first : first + _CHUNK]) for first in range(0, len(steps), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(SLOPES)))

    def _log_mgf(self, steps: np.ndarray) -> np.ndarray:
        # Powers of the tilted matrix by repeated squaring; its scale is kept apart in logarithms.
        exponents = SLOPES[:, None] * np.array([weight for weight, _ in self._moves])
        power_scale = exponents.max(axis=1)
        tilts = np.exp(exponents - power_scale[:, None])
        power = np.tensordot(tilts, np.array([matrix for _, matrix in self._moves]), axes=1)
        states = np.zeros((len(SLOPES), len(steps), power.shape[-1]))
        states[:, :] = self._initial
        scale = np.zeros((len(SLOPES), len(steps)))
        bits = steps.copy()
        while bits.any():
            odd = bits % 2 == 1
            stepped = states[:, odd] @ power
            largest = _positive(stepped.max(axis=2))
            states[:, odd] = stepped / largest[:, :, None]
            scale[:, odd] += np.log(largest) + power_scale[:, None]
            power = power @ power
            largest = _positive(power.max(axis=(1, 2)))
            power /= largest[:, None, None]
            power_scale = 2.0 * power_scale + np.log(largest)
            bits //= 2
        total = states.sum(axis=2)
        lost_track = total <= 0.0
        log_mgf: np.ndarray = np.where(lost_track, np.inf, np.log(_positive(total)) + scale).T
        return log_mgf


def expected(log_mgf: np.ndarray) -> np.ndarray:
    """Return the expected sum, the slope of `log_mgf` (..., len(SLOPES)) at 0."""
    near, far = SLOPES[_MIDDLE], SLOPES[_MIDDLE + 1]
    rise_near = (log_mgf[..., _MIDDLE] - log_mgf[..., _MIDDLE - 1]) / (2.0 * near)
    rise_far = (log_mgf[..., _MIDDLE + 1] - log_mgf[..., _MIDDLE - 2]) / (2.0 * far)
    # Central differences err by the square of the step; two of them cancel that.
    slope: np.ndarray = (rise_near * far**2 - rise_far * near**2) / (far**2 - near**2)
    return slope


def spread(log_mgf: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the sum, from the curvature of `log_mgf` (..., len(SLOPES)) at 0."""
    curvature = (log_mgf[..., _MIDDLE] + log_mgf[..., _MIDDLE - 1]) / SLOPES[_MIDDLE] ** 2
    sd: np.ndarray = np.sqrt(np.where(curvature > _NOISE, curvature, 0.0))
    return sd


def accepted(log_mgf: np.ndarray, *, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest sum that are not beyond a two-sided test at `level`.

    Chernoff: P(sum >= x) <= exp(log_mgf(s) - s x) for every slope s > 0, and likewise below; so each tail outside
    the returned range has probability at most level / 2.
    """
    limits = (log_mgf + np.log(2.0 / level)) / SLOPES
    return np.max(limits[..., :_MIDDLE], axis=-1), np.min(limits[..., _MIDDLE:], axis=-1)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0.0, values, 1.0)


def _reachable(steps: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Return the states, in order, that a chain with these probabilities can reach from where it may start."""
    reached = initial > 0.0
    for _ in range(len(steps)):
        reached = reached | (reached @ (steps > 0.0))
    states: np.ndarray = np.flatnonzero(reached)
    return states
