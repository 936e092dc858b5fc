"""Content providers sell repertoires to servers with finite stores: is each paid price x sales, and which files come on offer?

Question: providers put files on offer at a fixed price; servers, one after the other and again and again, weigh what a file would
earn against what it costs, buy licences, fetch and serve; a crowd downloads, and keeps its copies to itself. On a lossy
network, is each provider's revenue exactly its price times its sales, is whoever has no licence kept from serving, and does
what servers choose for themselves give every file worth its price a server, as the paper promises, and as servers that store
what is popular would not?

Source: huberman-wu, section 1 (finite providers offer what is popular) and section 2 (repertoires at a fixed price per file;
a server's optimal subset); eq. (1).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated

import trio

from netem.errors import ConfigError, Rejection
from netem.offload import offload
from node.shelving import Room
from scenarios.claims import Claim, Record
from scenarios.market.arrivals import fetch_and_drop
from scenarios.market.crowd import CrowdParams, let_crowd_come, start_market, zipf_shares
from scenarios.market.events import CrowdLeft
from scenarios.market.repertoire_claims import Tried, repertoire_claims
from scenarios.market.store_claims import store_claims
from scenarios.parameters import param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import Bed
from tracker.bank.transactions import user_account
from tracker.bank.why import why

PROBES = 2  # files that the node without a licence tries to serve


class Params(CrowdParams, frozen=True, kw_only=True):
    """The crowd's, and who sells what to whom. The last node has no licence and tries to serve."""

    duration_s: Annotated[float, param("how long servers stock and the crowd keeps coming", gt=0, le=86_400)] = 60.0
    load: Annotated[float, param("requested bytes/s over the upload of all nodes", unit="1", gt=0, le=5)] = 0.15
    servers_share: Annotated[
        float,
        param("share of nodes that are servers; those that are not, nor providers, download", unit="1", gt=0, lt=1),
    ] = 0.6
    policy: Annotated[
        str, param("how servers split their upload; with fixed, evenly, all depends on what they store")
    ] = "fixed"
    providers: Annotated[
        int, param("content providers, each with its part of the files", unit="nodes", ge=1, le=100)
    ] = 2
    price_credits: Annotated[int, param("price of a licence to serve a file, micro-credits", ge=0, le=10**12)] = 10**6
    horizon_requests: Annotated[
        float,
        param("requests that a server reckons with when it weighs income against a price", unit="1", gt=0, le=1e9),
    ] = 1000.0
    restock_s: Annotated[float, param("mean time until a server looks again at what it stores", gt=0, le=3600)] = 4.0

    def __post_init__(self) -> None:
        """Refuse, besides what any crowd's are refused for, too few nodes for all parts."""
        super().__post_init__()
        if self.providers + self.servers() > self.nodes - 2:
            most = f"at most {self.nodes - 2 - self.servers()}: beside {self.servers()} servers, two nodes download"
            raise ConfigError("providers", self.providers, most)

    def servers(self) -> int:
        """Return how many nodes are servers."""
        return max(2, round(self.servers_share * self.nodes))

    def room(self) -> Room:
        """Return what a server's store has room for."""
        return Room(self.keep_files, requests=self.horizon_requests)


async def run(bed: Bed) -> None:
    """Play the scenario: providers offer, servers stock, the crowd downloads, and one node tries to serve unlicensed.

    Raises:
        ConfigError: there are more providers than files, or nobody can pay for a full store.
    """
    params: Params = bed.params
    if params.providers > len(bed.content):
        raise ConfigError("providers", params.providers, f"at most one for each of the {len(bed.content)} files")
    room = min(params.keep_files, len(bed.content))
    most_credits = params.endowment_credits // room - params.fee_credits
    if params.price_credits > most_credits:
        allowed = f"0 to {most_credits}: endowment_credits must pay for a store of {room}, with the fees"
        raise ConfigError("price_credits", params.price_credits, allowed)
    p = zipf_shares(len(bed.content), params.zipf)
    repertoires = [list(range(number, len(p), params.providers)) for number in range(params.providers)]
    bed.facts.update(popularity=p, files=bed.content, repertoires=repertoires, sales={})
    await start_market(bed, p, stays_s=params.duration_s)
    servers = range(params.providers, params.providers + params.servers())
    crowd = range(servers.stop, params.nodes - 1)
    bed.facts["providers"] = [peer.node for peer in bed.peers[: params.providers]]
    bed.facts["servers"] = [bed.peers[number].node for number in servers]
    with bed.lasting(math.inf):
        for index, file in enumerate(bed.content):
            await bed.peers[index % params.providers].sell(file.name, file.path, params.price_credits)
        async with trio.open_nursery() as opening:
            for number in servers:
                opening.start_soon(_stock_at_first, bed, number)
    with bed.lasting(params.duration_s):
        async with trio.open_nursery() as nursery:
            for number in servers:
                nursery.start_soon(_keep_stocked, bed, number)
            nursery.start_soon(_try_to_serve, bed, params.nodes - 1)
            # Everybody downloads for oneself, and is done with it.
            download = partial(fetch_and_drop, serve=False)
            await let_crowd_come(bed, p, bed.content, customers=slice(crowd.start, crowd.stop), fetch=download)
    bed.emit(CrowdLeft())
    for node in bed.facts["providers"]:
        movements = await offload(bed.clock, partial(why, bed.journal, user_account(node)))
        bed.facts["sales"][node] = sum(move.amount_credits for move in movements if move.kind == "licence")


async def _stock_at_first(bed: Bed, number: int) -> None:
    """Fill a server's store with files picked at random, whatever they will earn: where it all begins must not be where it ends."""
    params: Params = bed.params
    for index in bed.chance("first", number).permutation(len(bed.content))[: params.keep_files].tolist():
        with contextlib.suppress(Rejection):  # nobody has it now, or this node is down: it will look again
            await bed.peers[number].buy(index)
            await bed.peers[number].fetch(index)


async def _keep_stocked(bed: Bed, number: int) -> None:
    """Let a server look at its store at random times, until cancelled."""
    params: Params = bed.params
    chance = bed.chance("restock", number)
    while True:
        await trio.sleep(float(chance.exponential(params.restock_s)))
        with contextlib.suppress(Rejection):  # it cannot pay, or the file could not be had: tried again
            await bed.peers[number].restock(params.room())


async def _try_to_serve(bed: Bed, number: int) -> None:
    """Try to serve files without a licence: after a download that is paid, and as if this node had published them."""
    for index, file in enumerate(bed.content[:PROBES]):
        pirate = bed.peers[number]
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "fetch": partial(pirate.fetch, index),
            "serve": partial(pirate.serve, index),
            "publish": partial(pirate.publish, file.name, file.path),
        }
        for way, act in ways.items():
            reason = ""
            try:
                await act()
            except Rejection as no:
                reason = no.reason
            if way == "fetch" and reason not in {"", "no-licence"}:
                break  # it did not get the file, and has nothing to serve
            bed.emit(Tried(pirate.node, index, way, reason))
            if not reason:
                break  # it serves: there is nothing left to try


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then sales, licences and what came on offer."""
    return [*shared_claims(record), *repertoire_claims(record), *store_claims(record)]
