"""Pure: the Nash equilibrium of the parimutuel market, by a semismooth Newton method, certified by best responses.

In equilibrium server i bids b_ij = Π_j s_ij with the share s_ij = max(0, 1 - λ_i Π_j / p_ij) of file j, whose bids sum to Π_j: its
first-order condition p_ij (Π_j - b_ij) / Π_j² = λ_i. So m + n unknowns (ln λ_i, ln Π_j) solve m + n equations: every budget is
spent, every file is shared out whole. They are piecewise smooth; Newton's steps settle which servers bid on which files and
then converge quadratically. Common beliefs are solved by the start, b_ij = p_j B_i.

Source: huberman-wu, eq. (5) and (6). Existence: Zhang (ICALP'05), when every file is wanted by two servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from node.best_response import NOTHING, best_response, others, regrets

ACCURACY = 1e-8
"""What a certified equilibrium's gap is at most."""

_RESIDUAL = 1e-13
_NEWTON_STEPS = 40
_BOLD_STEPS = 150
_ATTEMPTS = 10
_TURNS = 10
_SMALLEST_PART = 2.0**-12
_ROUNDING = 1e-9  # below it, an error that no longer shrinks is one of rounding
_SPARSE = 0.03  # with fewer bids, sparse products are faster
_NEVER = 1e200  # stands for 1/0: no price is so low


class NoEquilibrium(Exception):
    """Say why there is none, or that none could be certified."""


@dataclass(frozen=True, slots=True)
class Equilibrium:
    """Bids b_ij in budget units, float64 (servers, files), each row summing to its budget, and the certificate.

    `gap` is the largest share of its best utility that a server misses (see `node.best_response.regrets`).
    """

    bids: np.ndarray
    gap: float


def solve(beliefs: np.ndarray, budgets: np.ndarray) -> Equilibrium:
    """Return a Nash equilibrium.

    A file that nobody wants gets no bids. One that a single server wants is no market: if that server also wants files that
    others want, it gains by bidding ever less on the first, and there is no equilibrium. (Where a rich server without
    rivals has money that it does not need, it may happen to frighten others off with it; such equilibria are not looked for.)
    A server that is alone with all its files owns them, whatever it bids, and bids in proportion to its beliefs.

    Args:
        beliefs: p_ij >= 0, float64 (servers, files), each row with a positive entry; the scale of a row does not matter.
        budgets: B_i > 0, float64 (servers,).

    Raises:
        NoEquilibrium: there is none, or none with a gap of at most `ACCURACY` was found.
    """
    beliefs = beliefs / beliefs.sum(axis=1, keepdims=True)
    wanted_by = np.count_nonzero(beliefs, axis=0)
    alone = np.asarray(wanted_by == 1)
    rivalled = np.asarray((beliefs[:, wanted_by > 1] > 0.0).any(axis=1))
    _refuse_torn(beliefs, alone, rivalled)
    bids = np.where(rivalled[:, None], 0.0, beliefs * budgets[:, None])
    gap = 0.0  # of those that have their files to themselves
    if rivalled.any():
        core = np.ix_(rivalled, wanted_by > 1)
        with np.errstate(all="ignore"):  # an attempt may end in inf or nan; the gap judges
            bids[core], gap = _core(beliefs[core], budgets[rivalled])
    if not gap <= ACCURACY:
        raise NoEquilibrium(f"none was found: the best certified gap is {gap:.2g}, not {ACCURACY:g}")
    return Equilibrium(bids, gap)


def _refuse_torn(beliefs: np.ndarray, alone: np.ndarray, rivalled: np.ndarray) -> None:
    torn = np.argwhere((beliefs > 0.0) & alone & rivalled[:, None])
    if len(torn):
        server, file = torn[0].tolist()
        raise NoEquilibrium(
            f"there is none: file {file} is wanted by server {server} only, which would bid ever less on it, because it also "
            "wants files that others want; every file must be wanted by at least two servers"
        )


def _core(beliefs: np.ndarray, budgets: np.ndarray) -> tuple[np.ndarray, float]:
    """Solve a market in which every file is wanted by two servers or more."""
    market = _Market(beliefs, budgets / budgets.sum())
    bids = beliefs * market.budgets[:, None]
    best, best_gap = bids, np.inf
    for attempt in range(_ATTEMPTS):
        for found in market.candidates(bids):
            gap = float(regrets(beliefs, found, market.budgets).max())
            if gap < best_gap:
                best, best_gap = found, gap
            if gap <= ACCURACY / 10:
                return best * budgets.sum(), best_gap
        bids = market.respond(bids, rounds=25 * 2**attempt)
    return best * budgets.sum(), best_gap


@dataclass(frozen=True, slots=True)
class _Point:
    """Where Newton's method is: the shares of the bids above 0, and the errors of the equations.

    `servers`, `files` and `shares` run over these bids; the errors, relative to budget and file, over servers and files.
    """

    log_prices: np.ndarray
    totals: np.ndarray
    servers: np.ndarray
    files: np.ndarray
    shares: np.ndarray
    unspent: np.ndarray
    unshared: np.ndarray

    @property
    def error(self) -> float:
        return float(np.sqrt(self.unspent @ self.unspent + self.unshared @ self.unshared))


class _Market:
    """The equations of one market; budgets sum to 1, and so does each row of beliefs."""

    def __init__(self, beliefs: np.ndarray, budgets: np.ndarray) -> None:
        self.beliefs, self.budgets = beliefs, budgets
        self._least = np.where(beliefs > 0.0, NOTHING, 0.0) * budgets[:, None]
        self._inverse = np.divide(1.0, beliefs, out=np.full_like(beliefs, _NEVER), where=beliefs > 0.0)

    def candidates(self, bids: np.ndarray) -> Iterator[np.ndarray]:
        """Yield bids that may be the equilibrium, given bids not far from it."""
        for longest, searched in ((1.0, True), (0.2, False), (0.05, False)):
            found = self.newton(bids, longest=longest, searched=searched)
            yield found
            yield self.take_turns(found)
        yield bids

    def newton(self, bids: np.ndarray, *, longest: float, searched: bool) -> np.ndarray:
        """Return the bids to which Newton's steps lead from these, all positive where they are wanted.

        Steps in ln λ and ln Π are at most `longest`: farther off, other servers bid than the step has counted with. A `searched`
        step is shortened until it makes the errors smaller; that is safe, but it can end at a kink, which bold ones pass.
        """
        totals = bids.sum(axis=0)
        point = self._point(self._log_prices(totals), totals)
        for _ in range(_NEWTON_STEPS if searched else _BOLD_STEPS):
            if point.error <= _RESIDUAL or not np.isfinite(point.error):
                break
            prices, files = self._step(point)
            part = min(1.0, longest / max(np.abs(prices).max(), np.abs(files).max()))
            while True:
                next_point = self._point(point.log_prices + part * prices, point.totals * np.exp(part * files))
                if not searched or next_point.error <= (1.0 - 1e-4 * part) * point.error:
                    break
                if point.error < _ROUNDING:
                    return self._bids(point)
                if part < _SMALLEST_PART:
                    break
                part /= 2.0
            point = next_point
        return self._bids(point)

    def _point(self, log_prices: np.ndarray, totals: np.ndarray) -> _Point:
        ratios = self._inverse * np.exp(log_prices)[:, None]
        ratios *= totals
        flat = np.flatnonzero(ratios < 1.0)
        servers, files = np.divmod(flat, len(totals))
        shares = 1.0 - ratios.ravel()[flat]
        spent = np.bincount(servers, shares * totals[files], len(log_prices))
        unshared = np.bincount(files, shares, len(totals)) - 1.0
        return _Point(log_prices, totals, servers, files, shares, spent / self.budgets - 1.0, unshared)

    def _step(self, point: _Point) -> tuple[np.ndarray, np.ndarray]:
        """Return Newton's step in (ln λ, ln Π): the ln λ are eliminated, and files x files equations remain."""
        from scipy import sparse  # here, since it is slow to import, and `swarmbed list` needs none of it

        shape = self.beliefs.shape
        missing = 1.0 - point.shares
        by_server = np.bincount(point.servers, missing * point.totals[point.files], shape[0])
        by_file = np.bincount(point.files, missing, shape[1])
        by_server = np.where(by_server > 0.0, by_server, self.budgets)  # one without bids: lower its λ by a factor e
        by_file = np.where(by_file > 0.0, by_file, 1.0)  # a file without: lower its Π
        place = (point.servers, point.files)
        rows: Any = sparse.csr_array((missing, place), shape)
        slopes = (missing - point.shares) * point.totals[point.files] / by_server[point.servers]
        cross: Any = sparse.csr_array((slopes, place), shape)
        if len(missing) > _SPARSE * self.beliefs.size:
            rows, cross = rows.toarray(), cross.toarray()
        product = rows.T @ cross
        matrix = -(product if isinstance(product, np.ndarray) else product.toarray())
        matrix[np.diag_indices_from(matrix)] += by_file
        target = point.unspent * self.budgets / by_server
        wanted = point.unshared - rows.T @ target
        try:
            files = np.linalg.solve(matrix, wanted)
        except np.linalg.LinAlgError:
            files = np.linalg.lstsq(matrix, wanted)[0]
        return target - cross @ files, files

    def _bids(self, point: _Point) -> np.ndarray:
        """Return a point's bids, scaled to the budgets; of a server without any, its beliefs."""
        bids = np.zeros_like(self.beliefs)
        bids[point.servers, point.files] = point.shares * point.totals[point.files]
        empty = ~bids.any(axis=1)
        bids[empty] = self.beliefs[empty]
        bids *= (self.budgets / bids.sum(axis=1))[:, None]
        return bids

    def _log_prices(self, totals: np.ndarray) -> np.ndarray:
        """Return ln λ_i with which each server spends its budget at these Π: the root of a convex, decreasing function."""
        ratios = self._inverse * totals
        guess = 0.5 / ratios.min(axis=1)
        spent = np.maximum(1.0 - ratios * guess[:, None], 0.0) @ totals
        prices = np.where(spent >= self.budgets, guess, NOTHING)  # from the left Newton's steps cannot overshoot
        late = np.arange(len(prices))
        for _ in range(_NEWTON_STEPS):
            if not len(late):
                break
            active = np.where(ratios * prices[late, None] < 1.0, ratios, 0.0)
            better = ((active > 0.0) @ totals - self.budgets[late]) / (active @ totals)
            going = better > prices[late] * (1.0 + 1e-12)
            prices[late] = np.maximum(better, prices[late])
            late, ratios = late[going], ratios[going]
        return np.log(prices)

    def take_turns(self, bids: np.ndarray) -> np.ndarray:
        """Return bids after a few best responses in turn: they correct bids that are too small for Newton's equations."""
        bids = bids.copy()
        for _ in range(_TURNS):
            for server, budget in enumerate(self.budgets):
                against = np.delete(bids, server, axis=0).sum(axis=0)
                bids[server] = best_response(self.beliefs[server], against, float(budget))
        return bids

    def respond(self, bids: np.ndarray, *, rounds: int) -> np.ndarray:
        """Return bids after damped proportional responses to marginal utilities, which never leave the interior."""
        for _ in range(rounds):
            against = others(bids)
            earned = np.sqrt(self.beliefs * against) * bids / (bids + against)
            bids = earned * (self.budgets / earned.sum(axis=1))[:, None]
            bids = np.maximum(bids, self._least)
        return bids
