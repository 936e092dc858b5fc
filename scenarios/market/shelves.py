"""Pure: finite stores: which servers hold which files, dealt so that all shelves are wanted alike.

Source: huberman-wu, section 2 (a server affords to store only a relatively small subset of files).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SPARE = 2.0  # of a file's share of all bandwidth, so much fits on its holders if they serve nothing else


@dataclass(frozen=True, slots=True)
class Shelves:
    """Which servers hold which files, and how they bid when π = p.

    Attributes:
        holders: numbers of the servers by file, ascending.
        splits: f_ij in proportion to p_j over the number of holders, float64 (servers, files); rows sum to 1. If all
            shelves are wanted alike these bids make π = p.
        unevenness: by how much the most wanted shelf exceeds the mean, relative; 0 when all are alike.
    """

    holders: Sequence[Sequence[int]]
    splits: np.ndarray
    unevenness: float


def fill_shelves(p: np.ndarray, *, servers: int, copies: int) -> Shelves:
    """Deal copies of files to servers, the most wanted copies first, each file to those whose shelves are wanted least so far.

    A file has at least `copies` holders, and so many that `SPARE` times its share of all bandwidth fits on them.

    Args:
        p: shares of requests, float64 of shape (files,), each > 0.
        servers: how many there are.
        copies: at least 1, at most `servers`.
    """
    counts = np.clip(np.ceil(SPARE * p * servers), copies, servers).astype(int)
    wanted = p / counts
    holders: list[list[int]] = [[] for _ in p]
    worth = np.zeros(servers)
    splits = np.zeros((servers, len(p)))
    for index in np.argsort(-wanted, kind="stable").tolist():
        chosen = np.argsort(worth, kind="stable")[: counts[index]]
        holders[index] = sorted(chosen.tolist())
        worth[chosen] += wanted[index]
        splits[chosen, index] = wanted[index]
    return Shelves(holders, splits / np.maximum(worth, 1e-300)[:, None], float(worth.max() / worth.mean()) - 1)
