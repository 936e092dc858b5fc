"""Pure: the consensus of many small servers: prices at which each spends its budget where p_ij / π_j is largest.

These are the prices of the Eisenberg-Gale programme, max Σ_i B_i ln(Σ_j p_ij x_ij) with Σ_i x_ij <= 1. Its dual in q = ln π,
min Σ_j e^q_j + Σ_i B_i max_j (ln p_ij - q_j), is convex but has kinks; the maximum is smoothed with a temperature that falls to
almost nothing, by Newton's method at each. What then remains of the bids shows which files each server is indifferent between,
and from these ties the prices follow exactly.

Source: huberman-wu, eq. (7); Eisenberg and Gale (1959). Their weights are the bettors' budgets, not, as printed, the total bet
on each horse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

ACCURACY = 1e-8

_COOLING = 0.2
_COLDEST = 1e-8
_STEPS = 60  # of Newton's method at one temperature
_SMALLEST_PART = 2.0**-40
_FARTHEST = 20.0  # steps in ln π, in temperatures: beyond it the softmax says nothing
_REACH = 100.0  # temperatures below the best, where e^-100 is nothing, and prices may move a little yet
_TRACE = 1e-6  # of budget or price: a smaller bid is what is left of none
_TIED = 1e-10  # of ln p_ij around a circle of ties: rounding only
_SPARSE = 0.03


@dataclass(frozen=True, slots=True)
class Consensus:
    """Prices and their certificate.

    Attributes:
        prices: π_j in budget units, float64 (files,), summing to the budgets' sum; 0 for a file that nobody wants.
        objective: Σ_i B_i ln(Σ_j p_ij x_ij) at its maximum.
        gap: how far the found bids are from it, over Σ_i B_i, at most.
        bids_unique: whether only one way to bid supports these prices (which are always unique).
    """

    prices: np.ndarray
    objective: float
    gap: float
    bids_unique: bool


def solve(beliefs: np.ndarray, budgets: np.ndarray) -> Consensus:
    """Return the consensus.

    Args:
        beliefs: p_ij >= 0, float64 (servers, files), each row with a positive entry.
        budgets: B_i > 0, float64 (servers,).
    """
    with np.errstate(all="ignore"):  # an attempt may end in inf or nan; the gap judges
        return _solve(beliefs, budgets)


def _solve(beliefs: np.ndarray, budgets: np.ndarray) -> Consensus:
    wanted = np.asarray(beliefs.any(axis=0))
    weights = budgets / budgets.sum()
    logs = np.log(beliefs[:, wanted])
    logs -= logs.max(axis=1, keepdims=True)
    log_prices, split = _cool(logs, weights)
    bids = split * weights[:, None]
    kept = bids > _TRACE * np.minimum(weights[:, None], np.exp(log_prices))
    log_prices, circles = _exact(logs, weights, np.where(kept, bids, 0.0))
    prices = np.zeros(len(wanted))
    prices[wanted] = np.exp(log_prices) * budgets.sum()
    prices *= budgets.sum() / prices.sum()
    objective = _dual(beliefs, budgets, prices)
    shares = bids / bids.sum(axis=0)
    reached = float(budgets @ np.log((beliefs[:, wanted] * shares).sum(axis=1)))
    return Consensus(
        prices=prices,
        objective=objective,
        gap=float(np.maximum(objective - reached, 0.0)) / float(budgets.sum()),
        bids_unique=circles == 0,
    )


def _dual(beliefs: np.ndarray, budgets: np.ndarray, prices: np.ndarray) -> float:
    """Return what the objective is at most, by prices that sum to the budgets' sum (weak duality)."""
    ratios = np.divide(beliefs, prices, out=np.zeros_like(beliefs), where=prices > 0.0)
    return float(budgets @ np.log(budgets * ratios.max(axis=1)))


@dataclass(frozen=True, slots=True)
class _Market:
    """The pairs of a server and a file it may bid on, server by server: `logs` is ln p_ij; `starts` where a server's begin."""

    weights: np.ndarray
    servers: np.ndarray
    files: np.ndarray
    logs: np.ndarray
    starts: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, logs: np.ndarray, weights: np.ndarray, among: np.ndarray) -> _Market:
        servers, files = np.nonzero(among)
        starts = np.searchsorted(servers, np.arange(len(weights)))
        return cls(weights, servers, files, logs[servers, files], starts, among.shape)

    def values(self, log_prices: np.ndarray) -> np.ndarray:
        """Return ln(p_ij / π_j), less each server's largest."""
        values = self.logs - log_prices[self.files]
        return np.asarray(values - np.maximum.reduceat(values, self.starts)[self.servers])

    def split(self, log_prices: np.ndarray, temperature: float) -> np.ndarray:
        """Return each server's softmax of values / temperature."""
        split = np.exp(self.values(log_prices) / temperature)
        return np.asarray(split / np.add.reduceat(split, self.starts)[self.servers])

    def spent(self, split: np.ndarray) -> np.ndarray:
        """Return what is bid on each file."""
        return np.bincount(self.files, split * self.weights[self.servers], self.shape[1])

    def matrix(self, entries: np.ndarray) -> Any:
        """Return entries per pair as a matrix (servers, files), sparse when that is faster."""
        if len(entries) <= _SPARSE * self.shape[0] * self.shape[1]:
            from scipy import sparse  # here, since it is slow to import, and `swarmbed list` needs none of it

            return sparse.csr_array((entries, self.files, np.append(self.starts, len(entries))), self.shape)
        found = np.zeros(self.shape)
        found[self.servers, self.files] = entries
        return found


def _cool(logs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ln π and the split of each budget, float64 (servers, files), at the coldest temperature."""
    likes = np.exp(logs)
    log_prices = np.log(weights @ (likes / likes.sum(axis=1, keepdims=True)))
    market = _Market.of(logs, weights, np.isfinite(logs))
    temperature = 1.0
    while True:
        log_prices, split = _newton(market, log_prices, temperature=temperature)
        if temperature <= _COLDEST:
            dense = np.zeros_like(logs)
            dense[market.servers, market.files] = split
            return log_prices, dense
        cooler = max(_COLDEST, temperature * _COOLING)
        values = market.values(log_prices)
        # Along the path: the prices' derivative by the temperature, for splits change by the exponential of small differences.
        mean = np.add.reduceat(split * values, market.starts)
        drift = split * (values - mean[market.servers]) / -(temperature**2)
        slope = _solve_newton(market, split, log_prices, temperature=temperature, excess=market.spent(drift))
        log_prices = log_prices + (cooler - temperature) * slope
        temperature = cooler
        ratios = logs - log_prices
        far = ratios < ratios.max(axis=1, keepdims=True) - _REACH * temperature
        market = _Market.of(logs, weights, np.isfinite(logs) & ~far)


def _newton(market: _Market, log_prices: np.ndarray, *, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Solve e^q_j = Σ_i B_i w_ij, with w_i the softmax of (ln p_ij - q_j) / temperature."""
    rounding = max(1e-11, 1e-14 / temperature)  # what float64 leaves of (ln p_ij - q_j) / temperature
    split = market.split(log_prices, temperature)
    excess = np.exp(log_prices) - market.spent(split)
    for _ in range(_STEPS):
        scale = np.exp(-log_prices)
        if not rounding < np.abs(excess * scale).max() < np.inf:
            break
        step = _solve_newton(market, split, log_prices, temperature=temperature, excess=excess)
        part = min(1.0, _FARTHEST * temperature / np.abs(step).max())
        while True:
            tried = log_prices - part * step
            next_split = market.split(tried, temperature)
            next_excess = np.exp(tried) - market.spent(next_split)
            if np.linalg.norm(next_excess * scale) <= (1.0 - 1e-4 * part) * np.linalg.norm(excess * scale):
                break
            part /= 2.0
            if part < _SMALLEST_PART:
                return log_prices, split
        log_prices, split, excess = tried, next_split, next_excess
    return log_prices, split


def _solve_newton(
    market: _Market, split: np.ndarray, log_prices: np.ndarray, *, temperature: float, excess: np.ndarray
) -> np.ndarray:
    spread = market.matrix(split)
    product = spread.T @ market.matrix(split * market.weights[market.servers])
    hessian = -(product if isinstance(product, np.ndarray) else product.toarray()) / temperature
    hessian[np.diag_indices_from(hessian)] += np.exp(log_prices) + market.spent(split) / temperature
    scale = 1.0 / np.sqrt(hessian.diagonal())
    return np.asarray(scale * _solve_positive(hessian * scale * scale[:, None], excess * scale))


def _solve_positive(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Solve with a symmetric matrix that is positive definite but for rounding; one beyond float64 gives 0."""
    if not (np.isfinite(matrix).all() and np.isfinite(target).all()):
        return np.zeros_like(target)
    from scipy import linalg  # late, as above

    try:
        return np.asarray(linalg.cho_solve(linalg.cho_factor(matrix, overwrite_a=False), target))
    except linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(matrix, target)[0])


def _exact(logs: np.ndarray, weights: np.ndarray, bids: np.ndarray) -> tuple[np.ndarray, int]:
    """Return ln π from the ties alone, and how many circles the ties make.

    Within a component of files that are tied by servers which bid on both, ratios follow; its budgets give the level. A link that
    closes a circle is a tie only if the beliefs around it agree; then bids can be shifted along the circle.
    """
    from scipy import sparse  # late, as above
    from scipy.sparse import csgraph

    servers, files = np.nonzero(bids)
    first_file, size = len(weights), sum(bids.shape)
    # The strongest ties make the tree: a minimum spanning tree of 1 / bid.
    graph = sparse.csr_array((1.0 / bids[servers, files], (servers, files + first_file)), (size, size))
    tree = csgraph.minimum_spanning_tree(graph)
    count, labels = csgraph.connected_components(tree, directed=False)
    level = np.zeros(size)  # of a server ln max p/π, of a file ln π, both relative to their component
    for root in np.unique(labels, return_index=True)[1].tolist():
        order, before = csgraph.breadth_first_order(tree, root, directed=False)
        for node in order[1:].tolist():
            other = int(before[node])
            server, file = min(node, other), max(node, other) - first_file
            level[node] = logs[server, file] - level[other]  # ln p_ij = ln π_j + ln(p_ij / π_j)
    of_file = labels[first_file:]
    relative = np.bincount(of_file, np.exp(level[first_file:]), count)
    budget = np.bincount(labels[:first_file], weights, count)
    apart = np.abs(logs[servers, files] - level[servers] - level[files + first_file])
    circles = int((apart <= _TIED).sum()) - (size - count)
    return level[first_file:] + np.log(budget / relative)[of_file], circles
