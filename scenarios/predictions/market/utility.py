"""Pure: what servers earn from Poisson requests, discounted: mean and standard deviation.

`shares` are q_ij = b_ij / Σ_k b_kj, 0 where nobody bids. With requests at rates λ_j and income discounted at δ, server i's income
has mean Σ_j q_ij λ_j / δ and variance Σ_j q_ij² λ_j / (2δ): each request at time t pays q_ij e^(-δt) (Campbell's theorem).
The density of the times between requests is λ e^(-λx); as printed below eq. (3) it has the wrong sign and factor.

Source: huberman-wu, eq. (1) to (4).
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from netem.errors import ConfigError
from node.best_response import shares
from scenarios.predictions.market_input import Amounts, Matrix, Positive, matrix_of


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """b_ij by server and file, λ_j in requests per unit of time, δ per unit of time."""

    bids: Matrix
    rates: Amounts
    discount: Positive


def predict(given: Input) -> dict[str, Any]:
    """Return shares by server and file, and utilities and sd by server.

    Raises:
        ConfigError: shapes that do not fit.
    """
    bids = matrix_of(given.bids, field="bids")
    if len(given.rates) != bids.shape[1]:
        raise ConfigError(
            "rates", f"{len(given.rates)} numbers", f"{bids.shape[1]} numbers, one for each column of bids"
        )
    rates = np.array(given.rates)
    split = shares(bids)
    return {
        "shares": split.tolist(),
        "utilities": (split @ rates / given.discount).tolist(),
        "sd": np.sqrt(split**2 @ rates / (2.0 * given.discount)).tolist(),
    }
