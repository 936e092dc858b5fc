"""Servers arrive one by one, and only some of them are rational: does the market still come to what is asked for?

Question: of the servers of two files A and B a share α is rational, and serves A with probability p, as requests are; the others
imitate a server there is. Does π have the mean and the spread that eq. (11) and (12) imply, does its bias fall with the arrivals
as N^-α, and is all chance when nobody is rational (Pólya's urn)? Many such markets (urns) side by side, each with files and
servers of its own, are samples for each α. Newcomers arrive in all urns at once, when they have heard odds that show all who came
before, as the paper's π(t) does. Afterwards somebody in each urn fetches a file from its servers.

Source: huberman-wu, section 3.4, eq. (10) to (12).
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar

import trio

from netem.errors import ConfigError, Rejection
from node.peer import Peer
from scenarios.claims import Claim, Record
from scenarios.content import Shared
from scenarios.control import Cast
from scenarios.market.boards import until
from scenarios.market.events import Arrival, CrowdLeft
from scenarios.market.urn_claims import AllArrived, ServerArrived, urn_claims
from scenarios.parameters import Params as CommonParams
from scenarios.parameters import param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import Bed

FEWEST_URNS = 2  # of each α: one has no spread
MOST_URNS = 64  # then all odds are on one page, which a node has heard or not
LOOK_S = 0.1


class Params(CommonParams, frozen=True, kw_only=True):
    """The urns, and who arrives."""

    one_process: ClassVar[bool] = True  # newcomers wait until they have heard of those before them
    demand_keys: ClassVar[tuple[str, ...]] = ("crowd_bytes_per_s",)

    nodes: Annotated[
        int, param("nodes beside the tracker; as many urns as they fill", unit="nodes", ge=2, le=5_000)
    ] = 300
    duration_s: Annotated[float, param("how long the show may take", gt=0, le=86_400)] = 120.0
    alphas: Annotated[
        str, param("alpha: the shares of rational servers, each for as many urns; numbers from 0 to 1")
    ] = "0,0.5,1"
    p: Annotated[float, param("share of requests for file A", unit="1", ge=0, le=1)] = 0.9
    start_a: Annotated[int, param("servers of A in each urn at first", unit="nodes", ge=1, le=1_000)] = 1
    start_b: Annotated[int, param("servers of B in each urn at first", unit="nodes", ge=1, le=1_000)] = 1
    arrivals: Annotated[int, param("servers that arrive in each urn", unit="nodes", ge=1, le=1_000)] = 8
    crowd_bytes_per_s: Annotated[
        float, param("bytes/s asked for afterwards; by default, in real time, less on a host too slow", gt=0)
    ] = 500_000.0

    def __post_init__(self) -> None:
        """Refuse shares that are none, and nodes that fill fewer than two urns for each."""
        alphas = self.shares_rational()
        fewest = FEWEST_URNS * len(alphas) * self.urn_size()
        if self.nodes < fewest:
            raise ConfigError("nodes", self.nodes, f"from {fewest}: {FEWEST_URNS} urns of {self.urn_size()} for each α")

    def shares_rational(self) -> list[float]:
        """Return the values of α, in order."""
        try:
            alphas = [float(text) for text in self.alphas.split(",")]
        except ValueError:
            alphas = []
        if not alphas or not all(0.0 <= alpha <= 1.0 for alpha in alphas) or len(set(alphas)) < len(alphas):
            raise ConfigError("alphas", self.alphas, "different numbers from 0 to 1, with commas between them")
        return alphas

    def urn_size(self) -> int:
        """Return how many servers an urn has in the end."""
        return self.start_a + self.start_b + self.arrivals

    def urns(self) -> int:
        """Return how many urns there are: as many as the nodes fill, the same number for each α."""
        alphas = len(self.shares_rational())
        return alphas * min(self.nodes // (alphas * self.urn_size()), MOST_URNS // alphas)

    def standard_files(self) -> int:
        """Return how many files of the standard library are shared when the user names no directory: two for each urn."""
        return 2 * self.urns()

    def wanted_bytes_per_s(self) -> float:
        """Return how many bytes/s are asked for."""
        return self.crowd_bytes_per_s


async def run(bed: Bed) -> None:
    """Play the scenario: the first servers publish, newcomers arrive round by round, then files are fetched."""
    params: Params = bed.params
    urns = params.urns()
    files = copies(bed.content, 2 * urns)
    bed.facts["files"] = files
    alphas = params.shares_rational()
    chance = bed.chance("rational")
    rational = [
        [float(chance.random()) < alphas[urn % len(alphas)] for _ in range(params.arrivals)] for urn in range(urns)
    ]
    await bed.start(
        policy="fixed",
        beliefs="given",
        casts=[cast for urn in range(urns) for cast in _casts(params, urn, rational[urn])],
    )
    peers = [peer for peer in bed.peers if isinstance(peer, Peer)]
    size = params.urn_size()
    members = [peers[urn * size : (urn + 1) * size] for urn in range(urns)]
    with bed.lasting(math.inf):
        await _begin(params, members, files)
    with bed.lasting(params.duration_s):  # no show at all after a Ctrl-C during the preparations
        await _arrive(bed, members, files, rational=rational)
        await _fetch(bed, members, files)
    bed.emit(CrowdLeft())


def copies(content: Sequence[Shared], count: int) -> list[Shared]:
    """Return `count` files to publish: real ones, and when these are too few, the same under other names."""
    names = [
        file.name if turn == 0 else f"{file.name} ({turn + 1})"
        for turn in range(-(-count // len(content)))
        for file in content
    ]
    files = [
        Shared(name, file.path, file.size_bytes) for name, file in zip(names, itertools.cycle(content), strict=False)
    ]
    return files[:count]


def _casts(params: Params, urn: int, rational: Sequence[bool]) -> list[Cast]:
    """Return what an urn's nodes play: its first servers, then newcomers, each of whom decides once."""
    first = Cast(policy="fixed", beliefs="given")
    prior = [0.0] * (2 * urn) + [params.p, 1.0 - params.p]
    thinks = Cast(policy="price_taker", turns="once", beliefs="bernoulli", prior=prior)
    copies = Cast(policy="imitator", beliefs="given")
    return [first] * (params.start_a + params.start_b) + [thinks if one else copies for one in rational]


async def _begin(params: Params, members: Sequence[Sequence[Peer]], files: Sequence[Shared]) -> None:
    """Let the first servers publish; the first of each file alone, so that catalogue indices follow the order of files."""
    for index, file in enumerate(files):
        await members[index // 2][params.start_a * (index % 2)].publish(file.name, file.path)
    async with trio.open_nursery() as publishing:
        for urn, nodes in enumerate(members):
            for place, peer in enumerate(nodes[: params.start_a + params.start_b]):
                if place not in (0, params.start_a):
                    file = files[2 * urn + (place >= params.start_a)]
                    publishing.start_soon(peer.publish, file.name, file.path)


async def _arrive(
    bed: Bed, members: Sequence[Sequence[Peer]], files: Sequence[Shared], *, rational: Sequence[Sequence[bool]]
) -> None:
    """Let one newcomer arrive in each urn, round by round, when it has heard odds that show everybody before it."""
    params: Params = bed.params
    first = params.start_a + params.start_b
    shown = await _board_of(bed, [peer for nodes in members for peer in nodes[:first]])
    for number in range(params.arrivals):
        newcomers = [nodes[first + number] for nodes in members]
        await until(partial(_have_heard, newcomers, shown), look_s=LOOK_S)
        heard = [
            float(peer.odds[2 * urn] / peer.odds[2 * urn : 2 * urn + 2].sum()) for urn, peer in enumerate(newcomers)
        ]
        async with trio.open_nursery() as publishing:
            for urn, peer in enumerate(newcomers):
                shelf = [(file.name, file.path) for file in files[2 * urn : 2 * urn + 2]]
                publishing.start_soon(peer.publish_all, shelf)
        shown = await _board_of(bed, newcomers)
        for urn, peer in enumerate(newcomers):
            chose_a = bed.tracker.split(peer.node).get(2 * urn, 0.0) == 1.0
            bed.emit(ServerArrived(urn, number, rational[urn][number], heard[urn], chose_a))
    await until(lambda: bed.tracker.board >= shown, look_s=LOOK_S)
    bed.emit(AllArrived(shown))


async def _board_of(bed: Bed, servers: Sequence[Peer]) -> int:
    """Wait until the tracker knows what servers serve, and return the number of the board that will show it."""
    await until(lambda: all(bed.tracker.split(peer.node) for peer in servers), look_s=LOOK_S)
    return bed.tracker.board + 1


def _have_heard(nodes: Sequence[Peer], board: int) -> bool:
    return min(peer.board for peer in nodes) >= board


async def _fetch(bed: Bed, members: Sequence[Sequence[Peer]], files: Sequence[Shared]) -> None:
    """Let a first server of each urn fetch the file that it lacks, A with probability p, one urn after the other began."""
    params: Params = bed.params
    chance = bed.chance("requests")
    async with trio.open_nursery() as fetching:
        for urn, nodes in enumerate(members):
            wants_b = float(chance.random()) >= params.p
            index = 2 * urn + wants_b
            peer = nodes[0 if wants_b else params.start_a]
            bed.emit(Arrival(index, peer.node))
            fetching.start_soon(_try_to_fetch, peer, index)
            await trio.sleep(files[index].size_bytes / params.crowd_bytes_per_s)


async def _try_to_fetch(peer: Peer, index: int) -> None:
    with contextlib.suppress(Rejection):  # told by the DownloadStopped event
        await peer.fetch(index)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then what the servers came to serve."""
    return [*shared_claims(record), *urn_claims(record)]
