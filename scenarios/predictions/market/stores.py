"""Pure: which files servers with finite stores come to store, when each choice goes to what earns most.

Equal servers with room for `room` files each, who split their upload evenly over a full store, come to rest where no file's next
place would earn more than a taken one. `others` is what serves each file besides, in uploads of one server: providers, for
instance. Places are by file; odds are those that follow, summing to 1.

Source: huberman-wu, section 2 (an optimal subset of files), eq. (1); scenarios/solvers/places.py.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from netem.errors import ConfigError
from scenarios.predictions.market_input import Amount, Amounts, distribution_of
from scenarios.solvers.places import place_worths, places_at_rest


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Request shares p_j, scaled to sum 1, and who stores how much; without `others` nobody else serves."""

    p: Amounts
    servers: Annotated[int, Meta(ge=1, le=5_000)]
    room: Annotated[int, Meta(ge=1, le=1_000)] = 1
    others: list[Amount] = []


def predict(given: Input) -> dict[str, Any]:
    """Return the places by file at rest, and the odds.

    Raises:
        ConfigError: a store has room for every file, so that there is nothing to choose, or `others` has another length than p.
    """
    p = distribution_of(given.p, field="p")
    if given.room >= len(p):
        raise ConfigError("room", given.room, f"less than the {len(p)} files")
    if given.others and len(given.others) != len(p):
        raise ConfigError("others", f"{len(given.others)} numbers", f"{len(p)} numbers, as many as in p")
    others = np.array(given.others or [0.0] * len(p))
    worths = place_worths(p, others, share=1 / given.room, most=given.servers)
    places = places_at_rest(worths, given.servers * given.room)
    bandwidth = others + places / given.room
    return {"places": places.tolist(), "odds": (bandwidth / bandwidth.sum()).tolist()}
