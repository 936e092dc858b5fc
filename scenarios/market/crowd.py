"""trio: a crowd that wants files: its parameters, the servers that wait for it, and its requests.

Source: huberman-wu, section 2 (a server's finite store; whoever fetched a file may serve it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import trio

from netem.errors import ConfigError, Rejection
from node.beliefs import beliefs_names, make_beliefs
from node.policies import make_policy, policy_names
from node.shelving import Room
from node.storage import make_storage, storage_names
from node.turns import ALLOWED, make_turns
from scenarios.content import Shared
from scenarios.market.arrivals import Fetch, let_requests_come
from scenarios.parameters import Params, param
from scenarios.testbed import HOLD_MARGIN_S, AnyPeer, Bed
from tracker.desk import Terms

SMALLEST_MEAN_BYTES = 64 * 1024  # of what the load is reckoned with: asking costs too
LONGEST_HOLD_S = 3_600.0
AGAIN_S = 0.5  # until a node that crashed is asked again


class CrowdParams(Params, frozen=True, kw_only=True):
    """The crowd's size and taste, and how servers answer it."""

    demand_keys: ClassVar[tuple[str, ...]] = ("crowd_bytes_per_s", "load")

    zipf: Annotated[float, param("exponent of the files' popularity", unit="1", ge=0, le=5)] = 0.8
    load: Annotated[float, param("requested bytes/s over the upload of all nodes", unit="1", gt=0, le=5)] = 0.29
    crowd_bytes_per_s: Annotated[
        float,
        param("the crowd asks for at most this much in all; by default, in real time, less on a host too slow", gt=0),
    ] = 7.25e6
    servers_share: Annotated[float, param("share of nodes that hold every file at first", unit="1", ge=0, le=1)] = 0.5
    keep_files: Annotated[
        int,
        param("downloads a node has room for; the storage policy says what makes way", unit="files", ge=1, le=65_536),
    ] = 2
    storage: Annotated[str, param(f"which downloads a full store keeps: {', '.join(storage_names())}")] = "best_earning"
    policy: Annotated[
        str, param(f"how servers split their upload: {', '.join(policy_names())}, or your own FILE.py")
    ] = "proportional_response"
    turns: Annotated[str, param(f"when servers decide anew: {ALLOWED}; else as the policy does")] = ""
    beliefs: Annotated[str, param(f"what servers believe of p: {', '.join(beliefs_names())}")] = "given"
    belief_noise: Annotated[
        float, param("standard deviation of the log-normal noise of heterogeneous beliefs", unit="1", ge=0, le=5)
    ] = 0.5
    fee_credits: Annotated[int, param("flat fee per download, micro-credits", ge=1, le=10**12)] = 1_000_000
    endowment_credits: Annotated[int, param("granted at join, micro-credits", ge=0, le=10**15)] = 10**8

    def __post_init__(self) -> None:
        """Refuse a policy, turns, beliefs or a storage policy that there are not, and a fee that nobody could pay."""
        make_policy(self.policy)
        make_beliefs(self.beliefs)
        make_storage(self.storage)
        if self.turns:
            make_turns(self.turns)
        if self.fee_credits > self.endowment_credits:
            raise ConfigError("fee_credits", self.fee_credits, f"at most endowment_credits ({self.endowment_credits})")

    def initial_servers(self) -> int:
        """Return how many nodes hold every file at first."""
        return max(2, round(self.servers_share * self.nodes))

    def wanted_bytes_per_s(self) -> float:
        """Return how many bytes/s the crowd asks for."""
        return min(self.load * self.nodes * self.upload_bytes_per_s, self.crowd_bytes_per_s)

    def requests_per_s(self, mean_bytes: float) -> float:
        """Return the rate of requests for files of `mean_bytes` on average."""
        return self.wanted_bytes_per_s() / max(mean_bytes, SMALLEST_MEAN_BYTES)


def zipf_shares(files: int, exponent: float) -> np.ndarray:
    """Return the shares of requests by file in order, float64 of shape (files,), summing to 1."""
    weights: np.ndarray = np.arange(1, files + 1, dtype=float) ** -exponent
    return np.asarray(weights / weights.sum())


async def start_market(bed: Bed, p: np.ndarray, *, stays_s: float, roles: Sequence[str] = ()) -> None:
    """Start tracker and peers; fees are held for as long as everything stays, and a minute more.

    Hostile `roles` join as further peers, and are told nothing.

    Beliefs are told p, of all files there will ever be; only `learned` ones start from one pseudo-count per file.
    """
    params: CrowdParams = bed.params
    terms = Terms(
        fee_credits=params.fee_credits,
        endowment_credits=params.endowment_credits,
        hold_s=min(stays_s, LONGEST_HOLD_S) + HOLD_MARGIN_S,
    )
    await bed.start(
        terms=terms,
        policy=params.policy,
        turns=params.turns,
        beliefs=params.beliefs,
        prior=() if params.beliefs == "learned" else p,
        noise=params.belief_noise,
        roles=roles,
        storage=params.storage,
    )


async def open_market(bed: Bed, p: np.ndarray, files: Sequence[Shared], *, roles: Sequence[str] = ()) -> None:
    """Start the market (see `start_market`), and let the initial servers publish files; catalogue indices follow their order."""
    params: CrowdParams = bed.params
    await start_market(bed, p, stays_s=params.duration_s, roles=roles)
    with bed.lasting(math.inf):
        await fill_markets(bed, [(range(params.initial_servers()), files)])


async def fill_markets(bed: Bed, markets: Sequence[tuple[range, Sequence[Shared]]]) -> None:
    """Let the servers of each market publish its files; catalogue indices follow the order of all files.

    Args:
        bed: a started testbed.
        markets: by market, the places of its servers in `bed.peers`, and its files.
    """
    for servers, files in markets:  # the first of each alone, one after the other, so that indices follow the order
        await publish_all(bed.peers[servers[0]], files)
    async with trio.open_nursery() as publishing:
        for servers, files in markets:
            for server in servers[1:]:
                publishing.start_soon(publish_all, bed.peers[server], files)


async def publish_all(peer: AnyPeer, files: Sequence[Shared]) -> None:
    """Let a node publish files, one after the other; see `publish`."""
    for file in files:
        await publish(peer, file)


async def publish(peer: AnyPeer, file: Shared) -> int:
    """Let a node publish a file and return its catalogue index; one that crashes meanwhile does so when it is back."""
    while True:
        try:
            return await peer.publish(file.name, file.path)
        except Rejection as no:
            if no.reason != "crashed":
                raise
        await trio.sleep(AGAIN_S)


async def let_crowd_come(
    bed: Bed,
    p: np.ndarray,
    files: Sequence[Shared],
    *,
    is_out: Callable[[int], bool] = lambda _: True,
    customers: slice = slice(None),
    fetch: Fetch | None = None,
    for_s: float = math.inf,
) -> None:
    """Let the crowd's requests arrive, as often as its parameters say (see `let_requests_come`).

    Args:
        bed: a started testbed.
        p: shares of requests, float64 of shape (files,); a change in place counts from the next request on.
        files: what p is about, by catalogue index.
        is_out: tells whether a file can be asked for yet.
        customers: which of the peers ask.
        fetch: what a node does for a file; by default it fetches it and serves it in a finite store.
        for_s: then no more requests come, and it returns when the last download has ended.
    """
    params: CrowdParams = bed.params
    await let_requests_come(
        bed,
        p,
        fetch or partial(_serve_on, room=Room(params.keep_files)),
        chance=bed.chance("crowd"),
        mean_s=1 / params.requests_per_s(float(p @ [file.size_bytes for file in files])),
        is_out=is_out,
        customers=customers,
        for_s=for_s,
    )


async def _serve_on(peer: AnyPeer, index: int, *, room: Room) -> None:
    """Fetch a file and serve it, in a finite store: in an endless one a short run would end with everybody holding everything."""
    await peer.fetch(index)
    await peer.make_room(room)
