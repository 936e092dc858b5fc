"""Pure: how long a new file takes from its first share of the bandwidth to its share of the requests.

`time` is ln(p / π(0)) in e-folding times, 0 when π(0) >= p already. The unit, which the paper leaves open, is the time in which
one server uploads one copy (`scenarios/market/theory.py`, `copy_times`).

Source: huberman-wu, eq. (8) and (9).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from scenarios.market.theory import growth_time

_Share = Annotated[float, Meta(gt=0, le=1)]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """The file's share p of the requests, and its share π(0) of the bandwidth at the start."""

    p: _Share
    start: _Share


def predict(given: Input) -> dict[str, Any]:
    """Return the time in e-folding times."""
    return {"time": growth_time(max(1.0, given.p / given.start))}
