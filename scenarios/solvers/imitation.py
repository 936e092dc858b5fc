"""Pure: how many of the servers that arrive one by one serve file A, when some are rational and the rest imitate.

Server t serves A with probability α p + (1 - α) π(t), π = K/N the share of the N = a + b + t servers before it that do. With
c = 1 - α and M = K - p N, E M grows by 1 + c/N per arrival, so E π - p falls like N^-α: the time until it is within ε grows like
ε^(-1/α). That is a power law in 1/ε whose exponent is 1/α; "diverges exponentially in 1/α" is right in this sense only.

Source: huberman-wu, eq. (11) and (12), section 3.4; α = 0 is Pólya's urn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenarios.solvers.gamma import log_gamma_ratio

EXACT_ARRIVALS = 20_000
"""Up to here the law is computed arrival by arrival."""

_SUMMED = 100_000  # arrivals summed one by one; later terms are so smooth that their sum is an integral
_NODES = 24  # of Gauss-Legendre per e-fold of N
_COUNTABLE = 1 << 50  # arrivals, beyond which one more makes no difference to float64
_ROUNDING = 1e-12  # a probability that is short of a quantile by less has reached it
_NEGLIGIBLE = 1e-16


@dataclass(frozen=True, slots=True, kw_only=True)
class Urn:
    """The process: α in [0, 1], p in [0, 1], and `a` + `b` >= 1 servers at first, `a` of them serving A."""

    alpha: float
    p: float
    a: int
    b: int

    @property
    def size(self) -> int:
        """Return N0, the number of servers at first."""
        return self.a + self.b

    def log_memory(self, arrivals: np.ndarray | float) -> np.ndarray:
        """Return ln of (E π - p) over what it was at the start: ln [Γ(N + c) Γ(N0 + 1) / (Γ(N + 1) Γ(N0 + c))], <= 0."""
        now = log_gamma_ratio(self.size + np.asarray(arrivals, dtype=np.float64) + 1.0, -self.alpha)
        return np.asarray(now - log_gamma_ratio(self.size + 1.0, -self.alpha))

    def mean(self, arrivals: np.ndarray | float) -> np.ndarray:
        """Return E π after `arrivals` >= 0."""
        return _between(self.p, self.a / self.size, self.log_memory(arrivals))

    def variance(self, arrivals: int) -> float:
        """Return the variance of π after `arrivals` >= 0.

        Var K grows by V' = V (1 + 2c/N) + θ (1 - θ), with θ the mean chance of the next server to serve A.
        """
        before, weights = self._influence(arrivals)
        memory = self.log_memory(before)
        chance = self.alpha * self.p + (1.0 - self.alpha) * _between(self.p, self.a / self.size, memory)
        other = self.alpha * (1.0 - self.p) + (1.0 - self.alpha) * _between(1.0 - self.p, self.b / self.size, memory)
        return float((weights * chance * other).sum()) / (self.size + arrivals) ** 2

    def variances(self, starts: np.ndarray, arrivals: int) -> np.ndarray:
        """Return the variance of π after `arrivals`, had the shares π at the start been these: a quadratic in them."""
        before, weights = self._influence(arrivals)
        memory = (1.0 - self.alpha) * np.exp(self.log_memory(before))
        apart = starts - self.p
        none, once, twice = (float((weights * memory**power).sum()) for power in range(3))
        variance = self.p * (1.0 - self.p) * none + (1.0 - 2.0 * self.p) * apart * once - apart**2 * twice
        return np.asarray(np.maximum(variance, 0.0) / (self.size + arrivals) ** 2)

    def _influence(self, arrivals: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (s, w): Var K = Σ w θ_s (1 - θ_s) with w = H / H_(s+1), H = Γ(N + 2c) / Γ(N), over s < arrivals.

        The first terms are all there; the rest are Gauss-Legendre nodes in ln N for their integral, by the midpoint rule.
        """
        single = np.arange(min(arrivals, _SUMMED), dtype=np.float64)
        before, weights = single, np.ones_like(single)
        if arrivals > _SUMMED:
            low, high = (math.log(self.size + count - 0.5) for count in (_SUMMED, arrivals))
            nodes, parts = np.polynomial.legendre.leggauss(_NODES)
            edges = np.linspace(low, high, math.ceil(high - low) + 1)
            half = np.diff(edges)[:, None] / 2.0
            sizes = np.exp(edges[:-1, None] + half + half * nodes)
            before = np.concatenate([single, (sizes - self.size).ravel()])
            weights = np.concatenate([weights, (sizes * half * parts).ravel()])
        step = 2.0 * (1.0 - self.alpha)
        growth = log_gamma_ratio(float(self.size + arrivals), step) - log_gamma_ratio(self.size + before + 1.0, step)
        return before, weights * np.exp(growth)

    def laws(self, arrivals: Sequence[int]) -> dict[int, np.ndarray]:
        """Return, for each number t of arrivals, the probabilities of K = a, ..., a + t, float64 (t + 1,).

        Arrival by arrival, in O(t²).
        """
        wanted, last = set(arrivals), max(arrivals, default=0)
        law = np.zeros(last + 1)
        law[0] = 1.0
        serving = (1.0 - self.alpha) * (self.a + np.arange(last + 1))
        laws = {0: law[:1].copy()}
        for t in range(last):
            now = law[: t + 1]
            moved = now * (self.alpha * self.p + serving[: t + 1] / (self.size + t))
            now -= moved
            law[1 : t + 2] += moved
            if t + 1 in wanted:
                laws[t + 1] = law[: t + 2].copy()
        return laws

    def quantiles(self, arrivals: Sequence[int], levels: Sequence[float]) -> list[list[float]]:
        """Return, for each level, the smallest π that is not exceeded with that probability, for each number of arrivals.

        Exact up to `EXACT_ARRIVALS`. Beyond, the law is a mix over the exact law there: from each K a Beta law that has the exact
        mean and variance. For Pólya's urn that is the exact limit; in general it is off by less than 1 / `EXACT_ARRIVALS`.
        """
        stops = [min(t, EXACT_ARRIVALS) for t in arrivals]
        laws = self.laws(stops)
        columns = []
        for t, stop in zip(arrivals, stops, strict=True):
            if t == stop:
                places = np.searchsorted(np.cumsum(laws[t]) + _ROUNDING, levels)
                columns.append([(self.a + int(place)) / (self.size + t) for place in np.minimum(places, t)])
            else:
                columns.append(self._mixed(laws[stop], t, levels))
        return [[column[row] for column in columns] for row in range(len(levels))]

    def _mixed(self, law: np.ndarray, arrivals: int, levels: Sequence[float]) -> list[float]:
        from scipy import optimize, special  # here, since it is slow to import, and `swarmbed list` needs none of it

        kept = np.flatnonzero(law > _NEGLIGIBLE)
        chances, serving = law[kept], self.a + kept
        there = Urn(alpha=self.alpha, p=self.p, a=self.a, b=self.b + EXACT_ARRIVALS)  # only its size counts below
        more = arrivals - EXACT_ARRIVALS
        starts = serving / there.size
        means = _between(self.p, starts, there.log_memory(more))
        variances = there.variances(starts, more)
        room = means * (1.0 - means)
        certain = variances <= _NEGLIGIBLE * room
        strength = np.where(certain, 1.0, room / np.where(certain, 1.0, variances) - 1.0)

        def reached(share: float) -> float:
            spread = special.betainc(
                np.maximum(means * strength, _NEGLIGIBLE), np.maximum((1.0 - means) * strength, _NEGLIGIBLE), share
            )
            return float((chances * np.where(certain, means <= share, spread)).sum())

        nothing = reached(0.0)
        return [
            0.0
            if nothing >= level
            else float(optimize.brentq(lambda share, level=level: reached(share) - level, 0.0, 1.0, xtol=1e-15))
            for level in levels
        ]

    def log_arrivals(self, bias: float) -> float:
        """Return ln of the fewest arrivals until |E π - p| <= `bias`: -inf when it is so at the start, inf when it never is."""
        start = abs(self.a / self.size - self.p)
        if start <= bias:
            return -math.inf
        if self.alpha == 0.0 or bias == 0.0:
            return math.inf
        needed = math.log(bias / start)

        def reached(count: int) -> bool:
            return float(self.log_memory(count)) <= needed

        if not reached(_COUNTABLE):
            # ln memory = -α ln N + α-dependent constant, up to α / N
            constant = float(log_gamma_ratio(self.size + 1.0, -self.alpha))
            return (-needed - constant) / self.alpha
        low, high = 0, _COUNTABLE
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(middle) else (middle, high)
        return math.log(high)


def limit_of_uniform_beliefs(high: float) -> float:
    """Return the limit of π when rational beliefs are uniform on [0, `high`] and α > 0.

    Server t serves A with probability α P[P_t > π] + (1 - α) π, so π settles where P[P_t > π] = π: 1 - π / high = π. Only the
    Bernoulli beliefs of eq. (10) lead to their mean p; uniform ones lead to 2p / (1 + 2p).
    """
    return high / (1.0 + high)


def _between(target: float, start: np.ndarray | float, log_memory: np.ndarray | float) -> np.ndarray:
    """Return target + (start - target) * memory, as a sum of positive terms."""
    return np.asarray(-target * np.expm1(log_memory) + start * np.exp(log_memory))
