"""Pure: what a bandwidth policy is.

Source: Huberman and Wu, server i's bids b_ij = B_i f_ij on files j, chosen from the odds π_j and its beliefs p_ij.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from netem.errors import LocalProtocolError

ODDS_FLOOR = 1e-6
"""The house floor ε below which no odds are taken: a file nobody serves must not divide by zero."""


@dataclass(frozen=True, slots=True)
class View:
    """What a server knows when it splits its bandwidth; all arrays run over the files it holds.

    Attributes:
        held: file indices, ascending, at least one.
        odds: π_j >= `ODDS_FLOOR`, float64 (files,).
        beliefs: p_ij >= 0, float64 (files,); not normalised over the held files.
        own: the split f_ij in force, float64 (files,), >= 0; 0 for a file held since.
        fetched: which files were downloaded, not published, bool (files,).
        budget: this server's share B_i/Σ_k B_k of all bandwidth in [0, 1], as the tracker sees it; 0 while unknown.
        draw: a uniform draw from [0, 1), a new one each time.
    """

    held: tuple[int, ...]
    odds: np.ndarray
    beliefs: np.ndarray
    own: np.ndarray
    fetched: np.ndarray
    budget: float
    draw: float


class Policy(ABC):
    """Split a server's upload bandwidth over the files it holds; a pure function of what it is given."""

    name: ClassVar[str]
    """By which it is found in this package; a file of one's own needs none."""
    turns: ClassVar[str] = "all"
    """When it decides anew unless told otherwise, as `node.turns.make_turns` reads it."""
    anticipates: ClassVar[bool] = False
    """Whether it looks at `View.budget`, which takes a question to the tracker every second."""

    @abstractmethod
    def weights(self, view: View) -> np.ndarray:
        """Return a weight >= 0 per held file, float64 (files,), any positive sum."""

    def split(
        self,
        *,
        held: Sequence[int],
        odds: Sequence[float] | np.ndarray,
        beliefs: np.ndarray,
        own: Mapping[int, float],
        fetched: Container[int] = (),
        budget: float = 0.0,
        draw: float = 0.5,
    ) -> dict[int, float]:
        """Return the share f_ij in [0, 1] of every held file, by ascending index.

        Args:
            held: file indices, any order.
            odds: π_j by file index, as broadcast; a file beyond its end has the floor.
            beliefs: p_ij by file index; a file beyond its end has probability 0.
            own: the split in force, by file index; empty at first.
            fetched: the files that were downloaded.
            budget: see `View`.
            draw: see `View`.

        Raises:
            LocalProtocolError: `weights` returned something else than it should.

        Invariant: the shares sum to 1 up to rounding; nothing held gives {}.
        """
        files = tuple(sorted(set(held)))
        if not files:
            return {}
        view = View(
            held=files,
            odds=np.maximum(_at(np.asarray(odds, dtype=np.float64), files), ODDS_FLOOR),
            beliefs=_at(np.asarray(beliefs, dtype=np.float64), files),
            own=np.array([max(own.get(file, 0.0), 0.0) for file in files]),
            fetched=np.array([file in fetched for file in files]),
            budget=budget,
            draw=draw,
        )
        weights = np.asarray(self.weights(view), dtype=np.float64)
        total = float(weights.sum())  # not finite if any weight is not
        if weights.shape != (len(files),) or not (math.isfinite(total) and weights.min() >= 0.0):
            raise LocalProtocolError(
                f"{type(self).__name__}.weights gave {weights}, not {len(files)} finite numbers >= 0"
            )
        shares = weights / total if total > 0.0 else np.full(len(files), 1.0 / len(files))
        return dict(zip(files, shares.tolist(), strict=True))


def _at(values: np.ndarray, files: tuple[int, ...]) -> np.ndarray:
    """Return values[files] of ascending files, 0 beyond the end."""
    if files[-1] < len(values):
        return values[list(files)]
    found = np.zeros(len(files))
    inside = files[: bisect_left(files, len(values))]
    found[: len(inside)] = values[list(inside)]
    return found
