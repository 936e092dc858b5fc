"""Pure: whether bandwidth favours popular files or long shots, and what the less popular half gets.

`bias` is 1 less the slope of the least-squares line of ln π_j on ln p_j: 0 when π is in proportion to p, above 0 when long shots
have more bandwidth than requests (as bettors give them), below 0 when favourites do; null when all p_j are equal. `tail` is the
share of bandwidth over the share of requests of the less popular half of the files: n // 2 of them, files as popular as the last
of these counted in part; null for a single file.

The paper says that favourites win less often than the odds imply and concludes that the tail is served more; the anomaly it
cites is the opposite (long shots are overbet), which does lengthen the tail. With common beliefs there is neither.

Source: huberman-wu, section 3.2.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from netem.errors import ConfigError
from scenarios.predictions.market_input import distribution_of

_Share = Annotated[float, Meta(ge=1e-100, le=1e15)]  # their logarithms are taken
_Shares = Annotated[list[_Share], Meta(min_length=1)]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Request shares p_j and odds π_j, each scaled to sum 1."""

    p: _Shares
    odds: _Shares


def predict(given: Input) -> dict[str, Any]:
    """Return bias and tail.

    Raises:
        ConfigError: not as many odds as requests.
    """
    if len(given.odds) != len(given.p):
        raise ConfigError("odds", f"{len(given.odds)} numbers", f"{len(given.p)} numbers, one for each of p")
    p, odds = distribution_of(given.p, field="p"), distribution_of(given.odds, field="odds")
    return {"bias": _bias(p, odds), "tail": _tail(p, odds)}


def _bias(p: np.ndarray, odds: np.ndarray) -> float | None:
    if (p == p[0]).all():
        return None
    x, y = np.log(p), np.log(odds)
    x -= x.mean()
    return float(1.0 - x @ y / (x @ x))


def _tail(p: np.ndarray, odds: np.ndarray) -> float | None:
    half = len(p) // 2
    if not half:
        return None
    last = np.sort(p)[half - 1]
    below, tied = p < last, p == last
    counted = below + tied * ((half - below.sum()) / tied.sum())
    return float((counted @ odds) / (counted @ p))
