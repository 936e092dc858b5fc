"""Pure: the exact best response of a server in the parimutuel market, and what bids earn.

Server i chooses bids x_j >= 0 with sum B_i to maximise Σ_j p_ij x_j / (x_j + y_j), where y_j is what the others bid on file j.
The maximum has x_j = max(0, t sqrt(p_ij y_j) - y_j) for one t: sort the files by p_ij / y_j and fill them like water.

Source: huberman-wu, eq. (5) and (6); the closed form follows from the first-order condition p_ij y_j / (x_j + y_j)² = 1 / t².
"""

from __future__ import annotations

import numpy as np

NOTHING = 1e-60
"""Stands for a bid of 0 by everybody else, as a share of the budget: any bid above it takes the whole file."""

_SMALL = 1e-6  # a budget beside what others bid, from where on rounding is looked after
_ENTRIES_AT_ONCE = 1 << 16  # a block whose work arrays stay in the cache


def best_response(weights: np.ndarray, others: np.ndarray, budget: float) -> np.ndarray:
    """Return the bids of one server that earn most against the others' bids.

    Args:
        weights: p_ij >= 0 by file, float64 (files,), any scale, one of them positive.
        others: y_j >= 0 by file in the budget's unit, float64 (files,). A file with y_j = 0 has no best bid, for every positive
            one takes it whole; it gets a negligible one.
        budget: B_i > 0.

    Returns:
        Bids >= 0, float64 (files,), with sum `budget` up to rounding; 0 on files with weight 0.
    """
    weights = weights / weights.max()  # the scale is nothing to the answer, and products of tiny numbers would vanish
    floored = np.maximum(others, budget * NOTHING)
    order = (weights / floored).argsort()[::-1]
    slopes = np.sqrt(weights * floored)
    against, rising = floored[order], slopes[order]
    below = against.cumsum()
    levels = (budget + below) / rising.cumsum()
    last = (np.count_nonzero(rising * levels > against) or 1) - 1
    bids: np.ndarray = np.maximum(slopes * levels[last] - floored, 0.0)
    if budget < _SMALL * below[last]:
        # Beside huge y_j the differences lose digits; of a budget that is spent whole only the proportions matter.
        total = float(bids.sum())
        if not total > 0.0:
            bids[order[0]] = total = 1.0
        bids *= budget / total
    return bids


def best_responses(beliefs: np.ndarray, bids: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Return every server's best response to the bids of all others, all at once.

    Args:
        beliefs: p_ij >= 0, float64 (servers, files), each row with a positive entry.
        bids: b_ij >= 0 in budget units, float64 (servers, files).
        budgets: B_i > 0, float64 (servers,).

    Returns:
        Bids as of `best_response`, float64 (servers, files).
    """
    return replies(beliefs, others(bids), budgets)


def replies(beliefs: np.ndarray, against: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Return what `best_response` does for each row: beliefs p_ij, the others' bids y_ij and budgets B_i, shaped (rows, files) and (rows,)."""
    best = np.empty_like(beliefs)
    rows = max(1, _ENTRIES_AT_ONCE // beliefs.shape[1])
    for first in range(0, len(beliefs), rows):
        block = slice(first, first + rows)
        best[block] = _respond(beliefs[block], against[block], budgets[block, None])
    return best


def others(bids: np.ndarray) -> np.ndarray:
    """Return Σ_{k≠i} b_kj, float64 (servers, files), to full relative precision."""
    totals = bids.sum(axis=0)
    rest = totals - bids
    if (rest >= 1e-3 * totals).all():
        return np.asarray(rest)
    # Beside an own bid that is nearly all there is, subtracting loses the digits of the rest.
    above, below = np.zeros_like(bids), np.zeros_like(bids)
    np.cumsum(bids[:-1], axis=0, out=above[1:])
    np.cumsum(bids[:0:-1], axis=0, out=below[-2::-1])
    return np.asarray(above + below)


def _respond(weights: np.ndarray, against: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    weights = weights / weights.max(axis=1, keepdims=True)
    floored = np.maximum(against, budgets * NOTHING)
    order = (weights / floored).argsort(axis=1)[:, ::-1]
    sorted_against = np.take_along_axis(floored, order, axis=1)
    slopes = np.sqrt(np.take_along_axis(weights, order, axis=1) * sorted_against)
    levels = (budgets + sorted_against.cumsum(axis=1)) / slopes.cumsum(axis=1)
    filled = np.maximum(np.count_nonzero(slopes * levels > sorted_against, axis=1), 1)
    level = np.take_along_axis(levels, filled[:, None] - 1, axis=1)
    bids = np.maximum(np.sqrt(weights * floored) * level - floored, 0.0)
    total = bids.sum(axis=1, keepdims=True)
    lost = ~(total > 0.0)[:, 0]  # rounded away: all on the best file
    bids[lost, order[lost, 0]] = total[lost, 0] = 1.0
    return np.asarray(bids * (budgets / total))


def shares(bids: np.ndarray) -> np.ndarray:
    """Return q_ij = b_ij / Σ_k b_kj, eq. (1), float64 (servers, files); 0 where nobody bids."""
    totals = bids.sum(axis=0)
    return np.asarray(np.divide(bids, totals, out=np.zeros_like(bids), where=totals > 0.0))


def regrets(beliefs: np.ndarray, bids: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Return what each server could gain by its best response, as a share of what it would then earn.

    0 everywhere up to rounding is the definition of a Nash equilibrium. Shapes as of `best_responses`; float64 (servers,) in
    [0, 1].
    """
    now = (beliefs * shares(bids)).sum(axis=1)
    against = others(bids)
    best_bids = replies(beliefs, against, budgets)
    # Of a file on which nobody else bids, the smallest bid takes all: the supremum, though no bid attains it.
    taken = np.divide(best_bids, best_bids + against, out=np.ones_like(bids), where=against > 0.0)
    best = (beliefs * taken).sum(axis=1)
    return np.asarray(np.maximum(best - now, 0.0) / best)
