"""Pure: which files servers with finite stores come to rest on, when each place in a store goes to what earns most.

m servers with equal bandwidth have room for k files each and split their upload evenly, so the market has m k places, each with
the same share s of all bandwidth. A file with n places beside other bandwidth o_j for it earns p_j / (o_j + n s) a place. Moving a
place to the file where it then earns more is a congestion game (Rosenthal): each move raises the potential Σ_j Σ_(i <= n_j) p_j / (o_j + i s),
so servers that move one after the other come to rest. At rest no file's next place is worth more than a taken one, which is
true of the places with the largest worths: with o = 0 the apportionment of m k seats to votes p by D'Hondt's divisors.

Source: huberman-wu, section 2 (an optimal subset of files) with eq. (1); R. W. Rosenthal, Int. J. Game Theory 2 (1973) 65.
"""

from __future__ import annotations

import numpy as np

MOST_LEVELS = 4096  # of worth that are tried: all there are, in a market of a few dozen servers


def place_worths(p: np.ndarray, others: np.ndarray, *, share: float, most: int) -> np.ndarray:
    """Return p_j / (o_j + n s) for n = 1 to `most`, float64 (files, most), falling along each row.

    Args:
        p: request shares, float64 (files,).
        others: o_j >= 0, the share of all bandwidth that each file has beside these places, float64 (files,).
        share: s > 0.
        most: places that a file can have, one for each server.
    """
    taken = np.arange(1, most + 1)
    return np.asarray(p[:, None] / (others[:, None] + taken * share))


def places_at_rest(worths: np.ndarray, places: int) -> np.ndarray:
    """Return how many places each file has at rest, int64 (files,): those of the `places` largest worths, of equals the first file's."""
    order = np.argsort(-worths, axis=None, kind="stable")[:places]
    return np.bincount(order // worths.shape[1], minlength=len(worths))


def rest_bounds(worths: np.ndarray, places: int, *, slack: float, error: np.ndarray) -> tuple[int, int]:
    """Bound what else may be at rest, when moving costs `slack` and every worth is only known up to a relative error.

    All taken places seem to be worth at least some v, and no next place more than v + slack. So file j has at least as many
    places as must seem to be worth more than v + slack, and at most as many as may seem to be worth v or more.

    Args:
        worths: as of `place_worths`.
        places: how many there are.
        slack: what moving costs, >= 0, in the unit of the worths.
        error: in [0, 1), by file and place as the worths, or what can be broadcast to that.

    Returns:
        How many places at most are on other files than `places_at_rest` says, and how few files may have a place.
    """
    counts = places_at_rest(worths, places)
    least, most = np.sort(worths * (1 - error) - slack), np.sort(worths * (1 + error))
    levels = np.unique(np.concatenate([least.ravel(), most.ravel()]))
    levels = levels[:: -(-len(levels) // MOST_LEVELS)]
    width = worths.shape[1]
    low = np.stack([width - row.searchsorted(levels, side="right") for row in least])
    high = np.stack([width - row.searchsorted(levels, side="left") for row in most])
    possible = (low.sum(axis=0) <= places) & (places <= high.sum(axis=0))
    low, high = low[:, possible], high[:, possible]
    now = counts[:, None]
    moved = np.minimum(np.maximum(high - now, 0).sum(axis=0), np.maximum(now - low, 0).sum(axis=0))
    return int(moved.max(initial=0)), int((low > 0).sum(axis=0).min(initial=np.count_nonzero(counts)))
