"""Pure: how the odds come to new request shares when servers answer boards that are late, stale or lost.

Every server holds all files and answers each board it hears by proportional response, f_j <- f_j (p_j/π_j)^d, normalised. Its
split reaches the tracker with its next heartbeat, so that board n + 1 is made of splits of different age:

    π(n + 1) = Σ_k c_k E f(n - k),    f(n) ∝ f(n - 1) (p/π(n))^d with probability h, else f(n - 1),

with h the probability that a server hears a board and c_k that what the tracker knows of it is k boards old. For many servers
this is exact. With x = log(π/p), and small x, it is the linear recursion x(n + 1) = x(n) - d h Σ_k c_k x(n - k): its roots are
0.5 a board for d = 1/2 when every board is answered before the next, and of modulus 0.71 when every answer is a board late. After a
large shift servers whose luck differed stay different, and answer less together: the end is a little slower than that.

Source: huberman-wu, section 3.3; the policy is `node/policies/proportional_response.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenarios.market.theory import total_variation

EXACT_BOARDS = 10  # so long servers are told apart by which boards they heard; what comes later moves all alike
_REST = 1e-9  # of the age's law may be left out


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The odds board by board from the first after the shift on, float64 (boards, files), and what chance does to them.

    `luck` is m times the covariance of π, with m servers, that comes from who hears which board and when; `spread` that of the
    splits of different servers as the tracker knows them; both float64 (boards, files, files). `goal` is p, float64 (files,).
    """

    odds: np.ndarray
    luck: np.ndarray
    spread: np.ndarray
    goal: np.ndarray

    def distances(self) -> np.ndarray:
        """Return the total variation between the odds and the new shares, float64 (boards,)."""
        return np.array([total_variation(odds, self.goal) for odds in self.odds])

    def errors(self, *, servers: int, rate_error: float) -> np.ndarray:
        """Return the standard deviation of those distances while chance does not turn the sign of any π_j - p_j, float64 (boards,).

        Args:
            servers: m, by whose number a mean over them errs.
            rate_error: the relative error of a server's weight in that mean, independent of the others'.
        """
        covariance = (self.luck + self.spread * rate_error**2) / servers
        signs = np.sign(self.odds - self.goal) / 2
        return np.asarray(np.sqrt(np.maximum(np.einsum("nj,njk,nk->n", signs, covariance, signs), 0.0)))


def ages(*, board_s: float, heartbeat_s: float, delay_s: float, loss: float) -> np.ndarray:
    """Return the law c_k of how many boards old a split is that a board is made of, float64 (oldest + 1,), summing to 1.

    An answer waits for the next heartbeat, uniformly within `heartbeat_s`, and for one more each time that it is lost.

    Args:
        board_s: seconds between boards, > 0.
        heartbeat_s: seconds between heartbeats, > 0.
        delay_s: on average, of a board and of a heartbeat together, >= 0.
        loss: probability that a heartbeat is lost, in [0, 1).
    """
    known: list[float] = []
    while not known or 1 - known[-1] > _REST:
        beats = max((len(known) + 1) * board_s - delay_s, 0.0) / heartbeat_s
        surely = math.floor(beats)  # have left by then, and one more with the rest's probability
        known.append(1 - loss**surely * (1 - (beats - surely) * (1 - loss)))
    return np.diff([0.0, *known[:-1], 1.0])


def fading(*, heard: float, ages: np.ndarray, damping: float) -> float:
    """Return the factor by which a small distance shrinks a board: the largest modulus of the linear recursion's roots."""
    recursion = np.zeros(len(ages) + 1)
    recursion[:2] = 1.0, -1.0
    recursion[1:] += damping * heard * ages
    return float(np.abs(np.roots(recursion)).max())


def relax(
    old: np.ndarray, new: np.ndarray, *, heard: float, ages: np.ndarray, boards: int, damping: float
) -> Relaxation:
    """Follow the odds from `old`, where every server is, to `new`, in which all come to believe before board 0.

    Args:
        old: π at board 0, float64 (files,), > 0, summing to 1.
        new: p from then on, float64 (files,), > 0, summing to 1.
        heard: h, the probability that a server hears a board, in [0, 1].
        ages: c_k, see the function of that name.
        boards: how many to follow, >= 1.
        damping: d, in (0, 1].
    """
    fade = min(fading(heard=heard, ages=ages, damping=damping), 1.0)
    servers = _Servers(old, fade=fade)
    nothing = np.zeros((len(old), len(old)))
    odds, luck, spread = [old], [nothing], [nothing]
    for _ in range(boards - 1):
        servers.answer(damping * np.log(new / odds[-1]), heard)
        known = servers.known(ages)
        odds.append(known.mean)
        luck.append(known.luck)
        spread.append(known.spread)
    return Relaxation(np.array(odds), np.array(luck), np.array(spread), new)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the tracker knows of a random server's split: mean, (files,), and as in `Relaxation`, (files, files)."""

    mean: np.ndarray
    luck: np.ndarray
    spread: np.ndarray


class _Servers:
    """All servers, told apart by which boards they heard: log-splits against the old ones, and how frequent each is."""

    def __init__(self, old: np.ndarray, *, fade: float) -> None:
        self._old = old
        self._fade = fade
        self._moved, self._weights = np.zeros((1, len(old))), np.ones(1)
        # Of the splits after each board, the first before any.
        self._means, self._squares = [old], [np.outer(old, old)]
        self._luck = [np.zeros((len(old), len(old)))]

    def answer(self, step: np.ndarray, heard: float) -> None:
        """Let those who hear it answer a board."""
        moves = self._splits(self._moved + step) - self._splits(self._moved)
        luck = heard * (1 - heard) * ((moves.T * self._weights) @ moves)
        # What luck did before, boards take back as they do any distance.
        self._luck.append(self._fade**2 * self._luck[-1] + luck)
        if 0 < heard < 1 and len(self._means) <= EXACT_BOARDS:
            self._moved = np.concatenate([self._moved + step, self._moved])
            self._weights = np.concatenate([self._weights * heard, self._weights * (1 - heard)])
        else:
            self._moved = self._moved + heard * step
        splits = self._splits(self._moved)
        self._means.append(self._weights @ splits)
        self._squares.append((splits.T * self._weights) @ splits)

    def known(self, ages: np.ndarray) -> _Known:
        """Return what the tracker knows of splits so old."""
        last = len(self._means) - 1
        seen = np.maximum(last - np.arange(len(ages)), 0)  # nobody's split is older than the one before board 0
        means = np.array([self._means[board] for board in seen])
        mean = ages @ means
        squares = sum(age * self._squares[board] for age, board in zip(ages, seen, strict=True))
        luck = sum(age * self._luck[board] for age, board in zip(ages, seen, strict=True))
        of_mean = np.outer(mean, mean)
        return _Known(mean, luck + (means.T * ages) @ means - of_mean, squares - of_mean)

    def _splits(self, moved: np.ndarray) -> np.ndarray:
        splits = self._old * np.exp(moved)
        return np.asarray(splits / splits.sum(axis=1, keepdims=True))


def crossing(distances: np.ndarray, *, near: float) -> float | None:
    """Return when a distance that falls comes to `near`, in boards from the first; None if it does not.

    Between boards it is taken to fall exponentially, as it does.
    """
    below = np.flatnonzero(distances <= near)
    if not below.size:
        return None
    after = int(below[0])
    if after == 0:
        return 0.0
    high, low = math.log(distances[after - 1]), math.log(max(distances[after], 1e-12))
    return after - 1 + (high - math.log(near)) / (high - low)
