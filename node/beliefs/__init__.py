"""Pure: beliefs p_ij: how often a server expects each file to be asked for. One file each, found by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from node.beliefs.base import Beliefs
from node.plugins import choose, find

__all__ = ["Beliefs", "beliefs_names", "make_beliefs"]


def beliefs_names() -> list[str]:
    """Return the names of all kinds of beliefs, sorted."""
    return list(find(sys.modules[__name__], Beliefs))  # type: ignore[type-abstract]  # find takes abstract bases too


def make_beliefs(
    name: str,
    prior: Sequence[float] | np.ndarray = (),
    *,
    noise: float = 0.0,
    chance: np.random.Generator | None = None,
) -> Beliefs:
    """Make the beliefs of that name from a prior (its meaning is the kind's own); see `Beliefs` for the rest.

    Raises:
        ConfigError: there is no such kind, or the prior is not made of finite numbers >= 0.
    """
    found = find(sys.modules[__name__], Beliefs)  # type: ignore[type-abstract]  # find takes abstract bases too
    return choose(found, field="beliefs", name=name)(prior, noise=noise, chance=chance)
