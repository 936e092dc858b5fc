"""trio: disjoint markets side by side in one run, the bids of their servers board by board, and customers who only download.

A server holds the files of its own market only. Odds and budgets are shares of all bandwidth, of every market together, but a best
response over the files held depends on their proportions alone: each market plays its own game, and is a replicate of its own.

Source: huberman-wu, sections 2 and 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import trio

from netem.errors import ConfigError
from scenarios.content import Shared, standard_library
from scenarios.control import Cast
from scenarios.market.arrivals import fetch_and_drop, let_requests_come
from scenarios.market.boards import next_board
from scenarios.market.crowd import LONGEST_HOLD_S, SMALLEST_MEAN_BYTES, fill_markets
from scenarios.market.events import CrowdLeft
from scenarios.parameters import Params, param
from scenarios.testbed import HOLD_MARGIN_S, Bed
from tracker.desk import Terms

SMALL_FILES = (
    64  # of the standard library are 256 KiB at most each: many small downloads say more than a few large ones
)


class SubMarketParams(Params, frozen=True, kw_only=True):
    """The quiet opening, in which bids come to rest while nobody downloads, and the customers who come then."""

    demand_keys: ClassVar[tuple[str, ...]] = ("crowd_bytes_per_s", "load")

    quiet_s: Annotated[float, param("how long servers bid before the customers come", ge=0, le=3600)] = 30.0
    load: Annotated[float, param("requested bytes/s over the upload of all servers", unit="1", gt=0, le=1)] = 0.3
    crowd_bytes_per_s: Annotated[
        float,
        param("customers ask for at most this much in all; by default, in real time, less on a host too slow", gt=0),
    ] = 7.25e6
    fee_credits: Annotated[int, param("flat fee per download, micro-credits", ge=1, le=10**12)] = 1_000_000
    endowment_credits: Annotated[int, param("granted at join, micro-credits", ge=0, le=10**15)] = 10**9

    def __post_init__(self) -> None:
        """Refuse fewer than two customers, and a fee that nobody could pay."""
        if self.nodes < self.server_count() + 2:
            raise ConfigError(
                "nodes", self.nodes, f"at least {self.server_count() + 2}: {self.server_count()} servers, two customers"
            )
        if self.fee_credits > self.endowment_credits:
            raise ConfigError("fee_credits", self.fee_credits, f"at most endowment_credits ({self.endowment_credits})")

    def server_count(self) -> int:
        """Return how many of the nodes are servers; the others are customers."""
        raise NotImplementedError

    def standard_files(self) -> int:
        """Return how many files of the standard library there are to choose from."""
        return SMALL_FILES

    def wanted_bytes_per_s(self) -> float:
        """Return how many bytes/s the customers ask for."""
        return min(self.load * self.server_count() * self.upload_bytes_per_s, self.crowd_bytes_per_s)


@dataclass(frozen=True, slots=True)
class SubMarket:
    """One market: which of the run's peers serve it, which catalogue indices it trades, and what its servers believe.

    Attributes:
        name: for people.
        servers: positions in `bed.peers`.
        files: catalogue indices.
        beliefs: p_ij, float64 (servers, files), rows summing to 1; requests come by their mean.
        policy, turns: what every server plays.
    """

    name: str
    servers: range
    files: range
    beliefs: np.ndarray
    policy: str
    turns: str

    def casts(self) -> list[Cast]:
        """Return what its servers play."""
        before = [0.0] * self.files.start
        return [
            Cast(policy=self.policy, turns=self.turns, beliefs="given", prior=[*before, *row.tolist()])
            for row in self.beliefs
        ]


@dataclass(frozen=True, slots=True)
class Bids:
    """What the tracker knew at one board: when, B_i by server in bytes/s, (servers,), and each market's declared splits."""

    time_ns: int
    rates: np.ndarray
    splits: list[np.ndarray]


def choose_files(content: Sequence[Shared], *, markets: int, files: int) -> list[Shared]:
    """Return the files that are traded: the first of the run's content, and the standard library's where that has too few."""
    missing = markets * files - len(content)
    names = {file.name for file in content}
    spare = [file for file in standard_library(max(SMALL_FILES, markets * files)) if file.name not in names]
    return [*content[: markets * files], *spare[: max(0, missing)]]


async def open_markets(bed: Bed, markets: Sequence[SubMarket], files: Sequence[Shared]) -> None:
    """Start tracker and peers, let the servers publish their markets' files, and note all in `bed.facts` for the claims."""
    params: SubMarketParams = bed.params
    bed.facts.update(files=files, markets=markets, bids=[], rates_per_s=_request_rates(params, markets, files))
    terms = Terms(
        fee_credits=params.fee_credits,
        endowment_credits=params.endowment_credits,
        hold_s=min(params.duration_s, LONGEST_HOLD_S) + HOLD_MARGIN_S,
    )
    await bed.start(terms=terms, casts=[cast for market in markets for cast in market.casts()])
    bed.facts["servers"] = [peer.node for peer in bed.peers[: params.server_count()]]
    with bed.lasting(math.inf):
        await fill_markets(bed, [(market.servers, [files[index] for index in market.files]) for market in markets])


async def trade(bed: Bed) -> None:
    """Let servers bid in quiet, then let the customers come; note the bids of every board."""
    params: SubMarketParams = bed.params
    with bed.lasting(params.quiet_s + params.duration_s):
        async with trio.open_nursery() as show:
            show.start_soon(_watch, bed)
            await trio.sleep(params.quiet_s)
            bed.facts["crowd_ns"] = bed.clock.now_ns()
            await _let_customers_come(bed)
    bed.facts.setdefault("crowd_ns", bed.clock.now_ns())
    bed.facts["left_ns"] = bed.clock.now_ns()
    bed.emit(CrowdLeft())


def _request_rates(params: SubMarketParams, markets: Sequence[SubMarket], files: Sequence[Shared]) -> np.ndarray:
    """Return λ_j in requests/s, float64 (files,): each market is asked for bytes by its number of servers, its files by mean belief."""
    servers = sum(len(market.servers) for market in markets)
    rates = np.zeros(len(files))
    for market in markets:
        p = market.beliefs.mean(axis=0)
        mean_bytes = max(float(p @ [files[index].size_bytes for index in market.files]), SMALLEST_MEAN_BYTES)
        bytes_per_s = params.wanted_bytes_per_s() * len(market.servers) / servers
        rates[market.files] = p * bytes_per_s / mean_bytes
    return rates


async def _watch(bed: Bed) -> None:
    """Note what every new board was made of, before anybody can have answered it."""
    markets: Sequence[SubMarket] = bed.facts["markets"]
    while True:
        await next_board(bed.tracker)
        nodes = [[bed.peers[server].node for server in market.servers] for market in markets]
        rates = [bed.tracker.proven_bytes_per_s(node) for group in nodes for node in group]
        splits = [_splits(bed, market, group) for market, group in zip(markets, nodes, strict=True)]
        bed.facts["bids"].append(Bids(bed.clock.now_ns(), np.array(rates), splits))


def _splits(bed: Bed, market: SubMarket, nodes: Sequence[bytes]) -> np.ndarray:
    declared = [bed.tracker.split(node) for node in nodes]
    return np.array([[split.get(index, 0.0) for index in market.files] for split in declared])


async def _let_customers_come(bed: Bed) -> None:
    """Let requests arrive by Poisson's law until cancelled; each customer downloads, and keeps and serves nothing."""
    rates: np.ndarray = bed.facts["rates_per_s"]
    per_s = float(np.cumsum(rates)[-1])
    await let_requests_come(
        bed,
        rates / per_s,
        fetch_and_drop,
        chance=bed.chance("customers"),
        mean_s=1 / per_s,
        customers=slice(bed.params.server_count(), None),
    )
