"""Pure: what the market's predictions are given: beliefs, budgets and bids as arrays, their shapes checked.

Source: huberman-wu, sections 3.1 and 3.2: p_ij, b_i and b_ij.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta

from netem.errors import ConfigError

Probability = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0, le=1e15)]
Positive = Annotated[float, Meta(ge=1e-12, le=1e15)]
Amounts = Annotated[list[Amount], Meta(min_length=1)]
Matrix = Annotated[list[Amounts], Meta(min_length=1)]
Beliefs = Annotated[list[Amount | Amounts], Meta(min_length=1)]
Budgets = Annotated[list[Positive], Meta(min_length=1)]

NOTHING = 1e-30
"""A belief this small beside the server's largest counts as 0: float64 has no room for the bids that it leads to."""


def beliefs_of(beliefs: Sequence[float | Sequence[float]], budgets: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return p_ij, float64 (servers, files), and B_i, float64 (servers,); one row of beliefs is common to all servers.

    The scale of a row is the caller's; it need not sum to 1.

    Raises:
        ConfigError: rows of different lengths, a row without a positive entry, or another number of rows than budgets.
    """
    rows = [row for row in beliefs if isinstance(row, Sequence)]
    if rows and len(rows) < len(beliefs):
        raise ConfigError("beliefs", "numbers beside lists", "one list of numbers, or a list of such lists")
    values = matrix_of(rows or [beliefs], field="beliefs" if rows else "")  # type: ignore[list-item]  # no row is a number
    for i in np.flatnonzero(~values.any(axis=1)).tolist():
        raise ConfigError(f"beliefs[{i}]" if rows else "beliefs", "only zeros", "at least one number above 0")
    if rows and len(rows) != len(budgets):
        raise ConfigError("budgets", f"{len(budgets)} numbers", f"{len(rows)} numbers, one for each row of beliefs")
    values = np.where(values < NOTHING * values.max(axis=1, keepdims=True), 0.0, values)
    return np.broadcast_to(values, (len(budgets), values.shape[1])).copy(), np.array(budgets, dtype=np.float64)


def matrix_of(rows: Sequence[Sequence[float]], *, field: str) -> np.ndarray:
    """Return rows as float64 (rows, columns).

    Raises:
        ConfigError: they have different lengths.
    """
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ConfigError(
                f"{field}[{i}]", f"{len(row)} numbers", f"{len(rows[0])} numbers, as many as in {field}[0]"
            )
    return np.array(rows, dtype=np.float64)


def distribution_of(values: Sequence[float], *, field: str) -> np.ndarray:
    """Return values >= 0 scaled to sum 1, float64 (files,).

    Raises:
        ConfigError: all are 0.
    """
    array = np.array(values, dtype=np.float64)
    if not array.any():
        raise ConfigError(field, "only zeros", "at least one number above 0")
    return np.asarray(array / array.sum())
