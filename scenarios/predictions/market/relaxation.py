"""Pure: how the odds come to new request shares when servers answer late, stale or lost boards by proportional response.

All servers are at `old` when popularity becomes `new` just before board 0. A server hears a board with probability `heard`; the
tracker learns of its answer with its next heartbeat. `odds` and `distances` (total variation to `new`) are board by board,
`time_s` is from board 0 until the distance is `near`, null when `boards` are too few, and `fading` the factor by which a small
distance shrinks a board. With `servers`, also the standard deviation `sd` of the distances for so many.

Source: huberman-wu, section 3.3; derived in `scenarios/solvers/relaxation.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from netem.errors import ConfigError
from node.policies.proportional_response import DAMPING
from scenarios.predictions.market_input import distribution_of
from scenarios.solvers.relaxation import ages, crossing, fading, relax

MOST_BOARDS_A_HEARTBEAT = 20.0

_Share = Annotated[float, Meta(ge=1e-12, le=1e15)]  # their logarithms are taken
_Shares = Annotated[list[_Share], Meta(min_length=1, max_length=100)]
_Interval = Annotated[float, Meta(ge=0.1, le=100)]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Shares before and after, each scaled to sum 1; how boards and heartbeats travel (`delay_s` is that of both together)."""

    old: _Shares
    new: _Shares
    heard: Annotated[float, Meta(ge=0, le=1)] = 1.0
    board_s: _Interval = 1.0
    heartbeat_s: _Interval = 1.0
    delay_s: Annotated[float, Meta(ge=0, le=1)] = 0.0
    heartbeat_loss: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    near: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    boards: Annotated[int, Meta(ge=1, le=200)] = 30
    servers: Annotated[int, Meta(ge=1, le=10**9)] | None = None


def predict(given: Input) -> dict[str, Any]:
    """Return odds and distances by board, the time until they are near, and how fast the rest fades.

    Raises:
        ConfigError: not as many new shares as old ones, or far more boards than heartbeats.
    """
    if len(given.new) != len(given.old):
        raise ConfigError("new", f"{len(given.new)} numbers", f"{len(given.old)} numbers, one for each of old")
    if given.heartbeat_s > MOST_BOARDS_A_HEARTBEAT * given.board_s:
        raise ConfigError("board_s", given.board_s, f"at least heartbeat_s / {MOST_BOARDS_A_HEARTBEAT:g}")
    late = ages(
        board_s=given.board_s,
        heartbeat_s=given.heartbeat_s,
        delay_s=given.delay_s,
        loss=given.heartbeat_loss,
    )
    path = relax(
        distribution_of(given.old, field="old"),
        distribution_of(given.new, field="new"),
        heard=given.heard,
        ages=late,
        boards=given.boards,
        damping=DAMPING,
    )
    distances = path.distances()
    boards = crossing(distances, near=given.near)
    answer = {
        "odds": path.odds.tolist(),
        "distances": distances.tolist(),
        "time_s": None if boards is None else boards * given.board_s,
        "fading": fading(heard=given.heard, ages=late, damping=DAMPING),
    }
    if given.servers is not None:
        answer["sd"] = path.errors(servers=given.servers, rate_error=0.0).tolist()
    return answer
