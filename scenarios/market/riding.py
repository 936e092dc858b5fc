"""Pure: what it pays to ride free in a market with a flat fee, and what it pays to serve.

N nodes ask for λ files each during a run, as independent Poisson streams, each with the same endowment. Of a download's fee every
server gets the fraction that it delivered, so credits only change hands.

A free rider earns nothing: it gets min(A, K) files, with A ~ Poisson(λ) the files it asks for and K = floor(endowment / fee).

Those who serve share all that is paid; by symmetry in equal parts, as equal bandwidth earns equally where p/π is uniform (eq. (1), (5)).
So each earns on average what it pays itself, and its part of what free riders pay in addition, and is refused only when chance has
left it too far behind. Let X be its wishes less its income, in fees. Its refusals are the whole fees by which sup X exceeds what it can
advance (Skorokhod's reflection), at most a fee more than that. At worst, with no free rider to live on, X is a martingale beside what
refusals take from everybody's income. Its variance is λ, of its own Poisson wishes, and Σ q², of its income (eq. (3) with
Poisson requests). Nearly Brownian, it has P[sup X > x] = 2 P[X > x].

Source: huberman-wu, sections 1, 2 and 4 (free riding), eq. (1), (3), (5).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

_ROUNDS = 200  # each brings the mean nearer by the chance of a refusal, which is below 1
_NORMAL = NormalDist()


def granted_law(asked: float, most: float) -> tuple[float, float]:
    """Return mean and variance of min(A, most), A ~ Poisson(asked): the files that an endowment pays for.

    They are the sums of P[A > k] and of (2k + 1) P[A > k] over k < most, the second less the square of the first.

    Args:
        asked: expected requests, > 0.
        most: how many files the endowment pays for, a whole number >= 0; inf when nothing is to be paid.
    """
    beyond = asked + 40 * math.sqrt(asked) + 40  # more are never asked for
    if most > beyond:
        return asked, asked
    from scipy.special import pdtrc  # here, since it is slow to import, and `swarmbed list` needs none of it

    counts = np.arange(int(most))
    tails = pdtrc(counts, asked)
    mean = float(tails.sum())
    return mean, max(0.0, float(((2 * counts + 1) * tails).sum()) - mean**2)


def refused_law(variance: float, spare: float) -> tuple[float, float]:
    """Bound mean and second moment of the wishes that a server is refused.

    The mean r solves r = E max(0, sup X - (spare - 1 - r)): a fee is advanced whole or not at all, and what others are refused is
    no income.

    Args:
        variance: of wishes less income at the end, in fees squared, > 0.
        spare: fees that can be advanced.
    """
    mean = square = 0.0
    for _ in range(_ROUNDS):
        mean, square = _excess(variance, spare - 1 - mean)
    return mean, square


def _excess(variance: float, level: float) -> tuple[float, float]:
    """Return mean and second moment of max(0, sup X - level), level at least 0: sup X is distributed as |X| is at the end."""
    deviation = math.sqrt(variance)
    x = max(level, 0.0) / deviation
    tail, density = _NORMAL.cdf(-x), _NORMAL.pdf(x)
    return 2 * deviation * (density - x * tail), 2 * variance * ((1 + x * x) * tail - x * density)
