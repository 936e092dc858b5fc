"""Some download and serve nothing: what do they get, what do they pay, and does it pay to serve instead?

Question: contributors serve files, free riders (`free_rider`) fetch as much and serve nothing, copycats (`copycat`) pass on copies of what others
chose to serve. Everybody has the same endowment and appetite. With the flat fee, does a free rider get what its endowment pays for and not
a file more, at the price that everybody pays, while serving pays for a contributor's own downloads, whatever the share
of free riders? And with `payment=off`, for the same seed and so the same requests, do free riders get all that contributors get?

Source: huberman-wu, sections 1, 2 and 4: the market "solves in complete fashion the free riding problem" since "it transforms the provision
of content from a public good into a private one"; eq. (1), (3), (5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import msgspec
import trio

from netem.errors import ConfigError, Rejection
from node.policies import make_policy, policy_names
from node.shelving import Room
from scenarios.claims import Claim, Record
from scenarios.content import STANDARD_LIBRARY_BYTES, Shared
from scenarios.control import Cast
from scenarios.market.arrivals import arrival_times
from scenarios.market.crowd import LONGEST_HOLD_S, publish_all
from scenarios.market.events import Arrival, CrowdLeft
from scenarios.market.riding_books import CONTRIBUTOR, COPYCAT, FREE_RIDER, Declined, MarketOpened
from scenarios.market.riding_claims import judge
from scenarios.parameters import Params as CommonParams
from scenarios.parameters import param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import HOLD_MARGIN_S, AnyPeer, Bed
from tracker.bank.transactions import user_account
from tracker.desk import Terms

FILES = 12  # shared, the smallest: many small downloads say more than a few large ones
LIBRARY_FILES = 128  # of the standard library, of which these are
LAST_S = 60.0  # for the downloads that are under way when nobody asks any more


class Params(CommonParams, frozen=True, kw_only=True):
    """Who takes part, what they want, and what it costs."""

    nodes: Annotated[int, param("nodes beside the tracker", unit="nodes", ge=2, le=5_000)] = 16
    duration_s: Annotated[float, param("how long they ask for files", gt=0, le=86_400)] = 60.0
    free_riders: Annotated[float, param("share of nodes that serve nothing", unit="1", ge=0, le=1)] = 0.25
    copycats: Annotated[float, param("share of nodes that serve only copies", unit="1", ge=0, le=1)] = 0.125
    payment: Annotated[
        Literal["on", "off"], param("whether a download costs the fee, or nothing and earns nothing")
    ] = "on"
    requests_per_node: Annotated[
        float, param("files that a node asks for, on average", unit="files", gt=0, le=10_000)
    ] = 12.0
    keep_files: Annotated[
        int,
        param("downloads a node has room for; the one that earns least makes way", unit="files", ge=1, le=65_536),
    ] = 2
    policy: Annotated[
        str, param(f"how contributors split their upload: {', '.join(policy_names())}, or your own FILE.py")
    ] = "proportional_response"
    fee_credits: Annotated[int, param("flat fee per download, micro-credits", ge=1, le=10**12)] = 1_000_000
    endowment_credits: Annotated[int, param("granted at join, micro-credits", ge=1, le=10**15)] = 6_000_000

    def __post_init__(self) -> None:
        """Refuse an unknown policy, a fee that nobody could pay, and a market without servers."""
        make_policy(self.policy)
        if self.fee_credits > self.endowment_credits:
            raise ConfigError("fee_credits", self.fee_credits, f"at most endowment_credits ({self.endowment_credits})")
        if self.roles().count(CONTRIBUTOR) < 2:
            allowed = f"with copycats, a share that leaves 2 of {self.nodes} nodes to serve files of their own"
            raise ConfigError("free_riders", self.free_riders, allowed)

    def roles(self) -> list[str]:
        """Return what each node is, in order: contributors, copycats, free riders."""
        riders, copycats = round(self.free_riders * self.nodes), round(self.copycats * self.nodes)
        return [CONTRIBUTOR] * (self.nodes - riders - copycats) + [COPYCAT] * copycats + [FREE_RIDER] * riders

    def price_credits(self) -> int:
        """Return what a download costs."""
        return self.fee_credits if self.payment == "on" else 0

    def standard_files(self) -> int:
        """Return so many that each is small."""
        return LIBRARY_FILES

    def wanted_bytes_per_s(self) -> float:
        """Return how many bytes/s are asked for, at most, of the standard library's files."""
        largest_bytes = STANDARD_LIBRARY_BYTES // LIBRARY_FILES
        return self.nodes * self.requests_per_node * largest_bytes / self.duration_s


async def run(bed: Bed) -> None:
    """Play the scenario: contributors publish half of the files each, then everybody asks for files that it lacks."""
    params: Params = bed.params
    roles = params.roles()
    # An empty file is free whatever the fee, as nothing of it can be delivered.
    by_size = sorted((file for file in bed.content if file.size_bytes), key=lambda file: (file.size_bytes, file.name))
    files = by_size[:FILES]
    if not files:
        raise ConfigError("--content", "empty files", "at least one file that is not empty")
    terms = Terms(
        fee_credits=params.price_credits(),
        endowment_credits=params.endowment_credits,
        hold_s=min(params.duration_s + LAST_S, LONGEST_HOLD_S) + HOLD_MARGIN_S,
    )
    even = Cast(policy=params.policy, beliefs="given", prior=[1 / len(files)] * len(files))
    casts = {
        kind: msgspec.structs.replace(even, role="" if kind == CONTRIBUTOR else kind) for kind in sorted(set(roles))
    }
    await bed.start(terms=terms, casts=[casts[kind] for kind in roles])
    bed.facts.update(files=files, roles={peer.node: kind for peer, kind in zip(bed.peers, roles, strict=True)})
    with bed.lasting(math.inf):
        async with trio.open_nursery() as publishing:
            for peer, own in repertoires(bed.peers[: roles.count(CONTRIBUTOR)], files):
                publishing.start_soon(publish_all, peer, own)
    with bed.lasting(params.duration_s + LAST_S):
        await _trade(bed, len(files))
    await bed.tracker.wait_settled()
    bed.facts["balances_credits"] = {peer.node: bed.bank.ledger.balance(user_account(peer.node)) for peer in bed.peers}


def repertoires(contributors: Sequence[AnyPeer], files: Sequence[Shared]) -> Iterator[tuple[AnyPeer, list[Shared]]]:
    """Yield what each contributor publishes: half of the files, from evenly spread beginnings, so that all are alike."""
    each = -(-len(files) // 2)
    for number, peer in enumerate(contributors):
        first = number * len(files) // len(contributors)
        yield peer, [files[(first + k) % len(files)] for k in range(each)]


async def _trade(bed: Bed, files: int) -> None:
    """Let everybody ask until the time is over, and what was opened by then come to its end."""
    bed.emit(MarketOpened())
    async with trio.open_nursery() as downloads:
        try:
            async with trio.open_nursery() as customers:
                for number in range(len(bed.peers)):
                    customers.start_soon(_keep_asking, bed, number, files, downloads)
        finally:
            bed.emit(CrowdLeft())


async def _keep_asking(bed: Bed, number: int, files: int, downloads: trio.Nursery) -> None:
    """Ask for files as a Poisson stream of one node's own, each for one that it lacks; the same whatever things cost."""
    params: Params = bed.params
    chance = bed.chance("requests", number)
    now_s = trio.current_time()
    fetching: set[int] = set()
    mean_s = params.duration_s / params.requests_per_node
    for next_s in arrival_times(chance, mean_s=mean_s, from_s=now_s, for_s=params.duration_s):
        await trio.sleep_until(next_s)
        peer = bed.peers[number]  # of the present boot
        pick = chance.random()
        lacking = [index for index in range(files) if not peer.holds(index) and index not in fetching]
        index = lacking[int(pick * len(lacking))] if lacking else 0
        bed.emit(Arrival(index, peer.node if lacking else b""))
        if lacking:
            fetching.add(index)
            downloads.start_soon(_fetch, bed, number, index, fetching)
    await trio.sleep_until(now_s + params.duration_s)


async def _fetch(bed: Bed, number: int, index: int, fetching: set[int]) -> None:
    peer = bed.peers[number]
    try:
        await peer.fetch(index)
        await peer.make_room(Room(bed.params.keep_files))
    except Rejection as no:
        bed.emit(Declined(peer.node, index, no.reason))
    finally:
        fetching.discard(index)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then who got what at which price, and what serving brings."""
    return [*shared_claims(record), *judge(record)]
