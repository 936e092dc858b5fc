"""Pure: how many servers come to serve file A when a fraction α are rational and the rest copy a random server.

Of the a + b servers at first, `start` = [a, b], a serve A; `p` is A's share of the requests. After t arrivals: mean, standard
deviation and quantiles of the share π of servers that serve A. With `bias`: `log_arrivals`, ln of the fewest arrivals until
|E π - p| <= bias, null (and `log_arrivals_note`) when none are needed or none suffice. With `belief`, say {"kind": "uniform",
"high": 0.8}: `limit`, where π ends when rational beliefs P_t are not the Bernoulli ones of eq. (10) but uniform on [0, high].

Source: huberman-wu, eq. (10) to (12), section 3.4.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from netem.errors import ConfigError
from scenarios.predictions.market_input import Probability
from scenarios.solvers.imitation import Urn, limit_of_uniform_beliefs

LEVELS = ("0.05", "0.5", "0.95")

_MOST_SERVERS = 10**9
_MOST_ARRIVALS = 10**15
_Servers = Annotated[int, Meta(ge=0, le=_MOST_SERVERS)]
_Arrivals = Annotated[int, Meta(ge=0, le=_MOST_ARRIVALS)]


class Belief(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rational servers' subjective probabilities P_t are distributed."""

    kind: Literal["uniform"]
    high: Annotated[float, Meta(gt=0, le=1)]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """α, p, the servers at first, and the numbers of arrivals to look at."""

    alpha: Probability
    p: Probability
    start: Annotated[list[_Servers], Meta(min_length=2, max_length=2)]
    arrivals: list[_Arrivals]
    bias: Probability | None = None
    belief: Belief | None = None


def predict(given: Input) -> dict[str, Any]:
    """Return mean, sd and quantiles per number of arrivals, and what bias and belief ask for.

    Raises:
        ConfigError: no server at the start.
    """
    if not any(given.start):
        raise ConfigError("start", given.start, "at least one server, as [1, 0] or [0, 1]")
    urn = Urn(alpha=given.alpha, p=given.p, a=given.start[0], b=given.start[1])
    quantiles = urn.quantiles(given.arrivals, [float(level) for level in LEVELS])
    answer: dict[str, Any] = {
        "mean": [float(urn.mean(t)) for t in given.arrivals],
        "sd": [math.sqrt(urn.variance(t)) for t in given.arrivals],
        "quantiles": dict(zip(LEVELS, quantiles, strict=True)),
    }
    if given.bias is not None:
        answer |= _arrivals_until(urn, given.bias)
    if given.belief is not None:
        answer["limit"] = limit_of_uniform_beliefs(given.belief.high) if given.alpha > 0.0 else None
        if given.alpha == 0.0:
            answer["limit_note"] = "with alpha 0 nobody is rational, and where an imitator's urn ends is chance"
    return answer


def _arrivals_until(urn: Urn, bias: float) -> dict[str, Any]:
    found = urn.log_arrivals(bias)
    if math.isfinite(found):
        return {"log_arrivals": found}
    note = (
        "none are needed"
        if found < 0.0
        else "no number of arrivals suffices (its logarithm is beyond 1e308 or infinite)"
    )
    return {"log_arrivals": None, "log_arrivals_note": note}
