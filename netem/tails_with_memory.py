"""Pure: tail bounds of sums of draws that follow one another: functions of a reversible Markov chain that forgets by a factor a step.

The chain of a Gaussian copula, z' = rho z + sqrt(1 - rho^2) e, forgets by rho.

Source: Fan, Jiang, Sun 2021 (Hoeffding's inequality for Markov chains) and Jiang, Sun, Fan 2018 (Bernstein's); concentration of
Lipschitz functions of normal vectors; the determinant of the squared ones.
"""

from __future__ import annotations

import math

import numpy as np

from netem.tails import SLOPES

_UNBOUNDED = 1e200  # of a slope without a bound; infinity times no packets is none


def of_function(values: np.ndarray, *, variance: float, correlation: float, steepest: float = math.inf) -> np.ndarray:
    """Return a bound on log E exp(slope x sum) a draw, for each of `SLOPES`: the best of those known.

    Args:
        values: float64, the function's range, about its mean.
        variance: of one draw.
        correlation: by how much the chain forgets a step, 0 to below 1.
        steepest: how fast at most the function rises with the normal of a copula.
    """
    memory = (1.0 + correlation) / (1.0 - correlation)
    reach = float(values.max() - values.min()) / 2.0
    hoeffding = min(reach, steepest) ** 2 * memory * SLOPES**2 / 2.0
    furthest = float(np.abs(values).max())
    slopes = np.abs(SLOPES)
    left = (1.0 - correlation) - 5.0 * furthest * slopes
    valid = left > 0.0
    bernstein = np.full(len(SLOPES), _UNBOUNDED)
    t = slopes[valid]
    alone = variance / furthest**2 * (np.expm1(t * furthest) - t * furthest)
    bernstein[valid] = alone + variance * correlation * t**2 / left[valid]
    best: np.ndarray = np.minimum(hoeffding, bernstein)
    return best


def of_squared_normals(correlation: float) -> np.ndarray:
    """Return a bound on log E exp(slope x (sum of squares - its mean)) a draw of standard normals, for each of `SLOPES`.

    It is -1/2 sum log(1 - 2 slope eigenvalue), convex in eigenvalues whose mean is 1 and that are at most (1 + rho) / (1 - rho).
    """
    memory = (1.0 + correlation) / (1.0 - correlation)
    left = 1.0 - 2.0 * memory * SLOPES
    bound = np.full(len(SLOPES), _UNBOUNDED)
    bound[left > 0.0] = -np.log(left[left > 0.0]) / (2.0 * memory)
    centred: np.ndarray = bound - SLOPES
    return centred
