"""Pure: which odds minimise the mean download time, and how much longer π = p takes.

`pooled`, the paper's own download: all servers of a file serve each request at once, in an idle system of unit capacity with
files of unit size. File j then takes 1/π_j, and Σ p_j / π_j is least for π_j proportional to the square root of p_j, where it is
(Σ sqrt p_j)²; at π = p it is the number of files that are asked for.

`single`: one server serves a request and is shared by those that it serves. A server of file j has the load ρ p_j / π_j, so the
time is 1 / (1 - ρ p_j / π_j) of what one server takes alone; its mean is least at π = p for every load ρ, where all servers
are loaded alike. Times are in units of that least time.

So "bandwidth in proportion to requests minimises download times" holds for `single` only.

Source: huberman-wu, section 3.3, and Tewari and Kleinrock, which it cites; both optima are derived here (Cauchy-Schwarz, Jensen).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

from scenarios.predictions.market_input import Amounts, distribution_of


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Request shares p_j, scaled to sum 1, and who serves a request."""

    p: Amounts
    model: Literal["pooled", "single"]


def predict(given: Input) -> dict[str, Any]:
    """Return the best odds, the mean download time with them, and with π = p."""
    p = distribution_of(given.p, field="p")
    if given.model == "single":
        return {"odds": p.tolist(), "mean_time": 1.0, "mean_time_proportional": 1.0}
    roots = np.sqrt(p)
    return {
        "odds": (roots / roots.sum()).tolist(),
        "mean_time": float(roots.sum()) ** 2,
        "mean_time_proportional": float(np.count_nonzero(p)),
    }
