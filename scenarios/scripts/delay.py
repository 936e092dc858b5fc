"""Which split of bandwidth makes downloads shortest on average: in proportion to requests, or to their square roots?

Question: the paper quotes that bandwidth in proportion to requests minimises the mean download time. Four markets with nothing in
common but the tracker try it. Two are pooled: all servers of a file serve each download at once, as the paper has it, and nothing
waits. Two are single: a download has one server, which others may keep busy. Of each two, one splits its bandwidth by the
request shares p, the other by their square roots. Is the mean time what each model says, and which split wins in which?

In a pooled market every server holds every title, and each title is fetched again and again, once at a time; the mean is weighted
by p, so chance in what is asked for plays no part. In a single market a server has one copy of one title, which the catalogue
lists as a file of its own; as many servers as its share of the bandwidth says have a title, and a request goes to one of them at random.

Source: huberman-wu, section 3.3, and Tewari and Kleinrock, which it cites; `swarmbed predict market.delay`; scenarios/market/waiting.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import trio

from netem.errors import ConfigError, Rejection, RemoteProtocolError
from node.swarm import MAX_SERVERS
from scenarios.claims import Claim, Record, assumed
from scenarios.content import Shared
from scenarios.control import Cast
from scenarios.market.arrivals import arrival_times, fetch_and_drop
from scenarios.market.crowd import publish, publish_all, zipf_shares
from scenarios.market.delay_markets import Market, pooled_mean, single_long_run, single_mean, split_files
from scenarios.market.events import Arrival
from scenarios.market.submarkets import choose_files
from scenarios.market.waiting_claims import Mean, answered_claim, other_bottleneck, times_by_file
from scenarios.parameters import Params as CommonParams
from scenarios.parameters import Upload, param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import HOLD_MARGIN_S, AnyPeer, Bed
from tracker.desk import Terms

PATIENCE_S = 120.0  # for what is under way when the last request has come
SLACK = 1.5  # what lost blocks may cost the rarest title
MOST_LOAD = 0.95  # of a server: beyond it, what has piled up is not served in that time
SOURCE = "market.delay, derived from huberman-wu, section 2 (pooled download)"
LINE_SOURCE = "scenarios/market/waiting.py, first come first served at each server"


class Params(CommonParams, frozen=True, kw_only=True):
    """How many nodes do what, and what is asked for."""

    nodes: Annotated[
        int, param("nodes beside the tracker: a third download, a sixth serve pooled, half single", unit="nodes", ge=24)
    ] = 48
    duration_s: Annotated[float, param("how long requests of single servers keep coming", gt=0, le=3600)] = 80.0
    upload_bytes_per_s: Upload = 62_500.0  # a block every 18 ms: a pause of the host costs no bandwidth
    titles: Annotated[int, param("files that each market offers", unit="files", ge=2, le=16)] = 4
    zipf: Annotated[float, param("exponent of the titles' popularity", unit="1", ge=0, le=5)] = 2.0
    load: Annotated[float, param("requested bytes/s over what single servers upload", unit="1", gt=0, lt=1)] = 0.6
    rounds: Annotated[int, param("how often each pooled file is fetched", unit="downloads", ge=1, le=1_000)] = 2

    def clients(self) -> int:
        """Return how many nodes download."""
        return self.nodes // 3

    def pooled_servers(self) -> int:
        """Return how many servers a pooled market has; a download uses them all."""
        return min(MAX_SERVERS, self.nodes // 12)

    def single_servers(self) -> int:
        """Return how many servers a single market has."""
        return (self.nodes - self.clients() - 2 * self.pooled_servers()) // 2

    def standard_files(self) -> int:
        """Return how many files of the standard library are shared: each market has its own."""
        return 2 * (self.titles + self.single_servers())

    def wanted_bytes_per_s(self) -> float:
        """Return how many bytes/s are wanted at most: all that is pooled, and the load of the rest."""
        return 2 * self.upload_bytes_per_s * (self.pooled_servers() + self.load * self.single_servers())

    def markets(self, files: Sequence[Shared]) -> list[Market]:
        """Return the four markets with these files, in their order: pooled before single, π by p before √p."""
        return split_files(files, zipf_shares(self.titles, self.zipf), servers=self.single_servers())


def check(params: Params) -> None:
    """Refuse more titles than single servers, and a load under which a queue would grow without end.

    Not in the parameters themselves, which are also asked how many nodes would fit this host.
    """
    if params.titles > params.single_servers():
        raise ConfigError("titles", params.titles, f"2 to {params.single_servers()} with {params.nodes} nodes")
    most = MOST_LOAD / max(float(max(market.p / market.shares)) for market in params.markets([])[2:])
    if params.load > most:
        raise ConfigError("load", params.load, f"at most {most:.3g} with zipf={params.zipf:g}, or a queue has no end")


def slowest_s(params: Params, market: Market) -> float:
    """Return how long the slowest file of a pooled market takes."""
    units_s = [file.size_bytes / (params.pooled_servers() * params.goodput_bytes_per_s()) for file in market.files]
    return max(unit_s / float(share) for unit_s, share in zip(units_s, market.shares, strict=True))


async def run(bed: Bed) -> None:
    """Play the scenario: publish, then fetch each pooled file in rounds while requests for single ones come."""
    params: Params = bed.params
    check(params)
    some = [file for file in bed.content if file.size_bytes]  # what takes no time tells nothing of times
    content = choose_files(some, markets=1, files=params.standard_files())
    by_size = sorted(content, key=lambda file: (-file.size_bytes, file.name))
    files = in_pairs(by_size[: params.standard_files()], params.titles)
    markets = params.markets(files)
    bed.facts.update(files=files)
    # Whoever holds a file believes in it as much as its market does; a server of one file has no choice.
    prior = np.concatenate([markets[0].shares, markets[1].shares, np.ones(2 * params.single_servers())]).tolist()
    server = Cast(policy="as_believed", beliefs="given", prior=prior)
    client = Cast(role="free_rider")
    held_s = max(params.duration_s, SLACK * params.rounds * slowest_s(params, markets[0])) + PATIENCE_S
    fee_credits = Terms().fee_credits
    await bed.start(
        terms=Terms(hold_s=held_s + HOLD_MARGIN_S, endowment_credits=fee_credits * 10_000),
        casts=[client] * params.clients() + [server] * (params.nodes - params.clients()),
    )
    clients = bed.peers[: params.clients()]
    with bed.lasting(held_s):
        await _publish(bed, markets)
        async with trio.open_nursery() as fetching:
            for index in range(2 * params.titles):
                fetching.start_soon(_fetch_in_rounds, bed, clients[index % len(clients)], index)
            for market in markets[2:]:
                fetching.start_soon(_let_requests_come, bed, market, clients)


def in_pairs(files: Sequence[Shared], titles: int) -> list[Shared]:
    """Deal files, largest first, to both pooled markets in turn, then to both single ones, so that sizes are alike."""
    pooled, single = files[: 2 * titles], files[2 * titles :]
    return [*pooled[::2], *pooled[1::2], *single[::2], *single[1::2]]


async def _publish(bed: Bed, markets: Sequence[Market]) -> None:
    params: Params = bed.params
    servers = iter(bed.peers[params.clients() :])
    for market in markets[:2]:
        for _ in range(params.pooled_servers()):
            await publish_all(next(servers), market.files)
    for market in markets[2:]:
        for file in market.files:
            await publish(next(servers), file)


async def _fetch_in_rounds(bed: Bed, peer: AnyPeer, index: int) -> None:
    for _ in range(bed.params.rounds):
        await _fetch(bed, peer, index)


async def _let_requests_come(bed: Bed, market: Market, clients: Sequence[AnyPeer]) -> None:
    """Let requests come as a Poisson stream, each for a copy of a title at random, from a client that is not fetching that copy."""
    params: Params = bed.params
    sizes = np.array([file.size_bytes for file in market.files])
    per_s = params.load * len(sizes) * params.goodput_bytes_per_s()
    per_s /= float(np.repeat(market.p / market.copies, market.copies) @ sizes)
    firsts = market.first + np.cumsum(market.copies) - market.copies
    chance = bed.chance("requests")  # the same titles are wanted in both markets
    # Each client waits for its turn: who asks a server again soon may still owe it the receipt that was lost.
    turns = {index: list(clients) for index in range(market.first, market.first + len(sizes))}
    now_s = trio.current_time()
    async with trio.open_nursery() as fetching:
        for next_s in arrival_times(chance, mean_s=1 / per_s, from_s=now_s, for_s=params.duration_s):
            title = int(chance.choice(len(firsts), p=market.p))
            index = int(firsts[title]) + int(chance.random() * market.copies[title])
            await trio.sleep_until(next_s)
            if turns[index]:
                fetching.start_soon(_fetch_in_turn, bed, turns[index], index)


async def _fetch_in_turn(bed: Bed, waiting: list[AnyPeer], index: int) -> None:
    peer = waiting.pop(0)
    await _fetch(bed, peer, index)
    waiting.append(peer)


async def _fetch(bed: Bed, peer: AnyPeer, index: int) -> None:
    """Fetch a file and delete it; a download that failed is told by its DownloadStopped event."""
    bed.emit(Arrival(index, peer.node))
    with contextlib.suppress(Rejection, RemoteProtocolError):
        await fetch_and_drop(peer, index)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then the mean times of both models under both splits."""
    params: Params = record.params
    markets = params.markets(record.facts["files"])
    times = times_by_file(record)
    off = other_bottleneck(params, servers=params.pooled_servers())
    pooled = [pooled_mean(params, market, times, servers=params.pooled_servers()) for market in markets[:2]]
    single = [single_mean(params, market, times) for market in markets[2:]]
    long_run = [single_long_run(market, load=params.load) for market in markets[2:]]
    return [
        *shared_claims(record),
        answered_claim(record),
        *compared(
            "pooled", pooled, off=off, source=SOURCE, note="a file of unit size takes 1 at the markets' capacity"
        ),
        *compared(
            "single",
            single,
            off=off,
            source=LINE_SOURCE,
            note=f"for the requests that came; in the long run {long_run[0]:.3g} and {long_run[1]:.3g}",
        ),
    ]


def compared(model: str, means: Sequence[Mean], *, off: str, source: str, note: str) -> list[Claim]:
    """Claim both means of a model, by p and by √p, and their ratio, which says which split is better."""
    names = [f"{model}: mean time, π by p", f"{model}: mean time, π by √p", f"{model}: time by √p over time by p"]
    if off:
        return [assumed(name, off, source) for name in names]
    by_p, by_root = means
    compared = zip(names, (by_p, by_root, by_root.over(by_p)), strict=True)
    return [mean.claim(name, source=source, note=note) for name, mean in compared]
