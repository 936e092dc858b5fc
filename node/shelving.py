"""Pure: what a server shows its storage policy: the files it stores and those it could, as arrays.

Source: huberman-wu, section 2 (a finite store), eq. (1) (what a place in it earns).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from node.bidding import Bidding
from node.storage.base import Shelf


class Room(msgspec.Struct, frozen=True, array_like=True):
    """What a store has room for, and how many requests its server reckons with when it weighs income against a price."""

    files: int
    nbytes: float = math.inf
    requests: float = 0.0


class Market(msgspec.Struct, frozen=True):
    """What a server can buy, and with what.

    Attributes:
        absent: sizes in bytes, by file index, of the files that it does not serve.
        costs: what serving each of them costs, micro-credits.
        fee_credits: the flat fee.
        share: the server's part of all bandwidth, in [0, 1].
        purse_credits: what it can pay.
    """

    absent: Mapping[int, int]
    costs: Mapping[int, int]
    fee_credits: int
    share: float
    purse_credits: int


def shelf_of(bidding: Bidding, room: Room, *, stored: Mapping[int, int], market: Market | None = None) -> Shelf:
    """Return the shelf of a server; without a market it is only asked what is to go, and a place earns 1 where π = p.

    Args:
        bidding: knows the odds and p.
        room: what there is room for.
        stored: sizes in bytes by index of the files that it stores and serves, the oldest first.
        market: what it can buy.
    """
    absent, costs = (market.absent, market.costs) if market else ({}, {})
    files = tuple(sorted([*stored, *absent]))
    sizes = {**stored, **absent}
    order = {file: place for place, file in enumerate(stored)}
    since = np.array([order.get(file, -1) for file in files], dtype=np.int64)
    odds, beliefs = bidding.prospects(files)
    share = market.share / room.files if market else 0.0
    return Shelf(
        files=files,
        odds=odds,
        beliefs=beliefs,
        size_bytes=np.array([sizes[file] for file in files], dtype=np.int64),
        stored=since >= 0,
        since=since,
        cost_credits=np.array([costs.get(file, 0) for file in files], dtype=np.int64),
        room_files=room.files,
        room_bytes=room.nbytes,
        purse_credits=market.purse_credits if market else 0,
        share=share,
        place_credits=market.fee_credits * room.requests * share if market else 1.0,
    )
