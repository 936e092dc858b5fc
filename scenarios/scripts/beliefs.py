"""Nobody knows what is asked for, and servers believe different things: which odds do they come to, and who gains, the tail?

Question: two markets side by side, each with the same popularity of files, and files and servers of its own. In one, server i
believes p_ij, the true shares times log-normal noise; in the other all know the truth. Do the odds of the first come to the
parimutuel consensus of eq. (7) for just those beliefs, on the way and in the time that the servers' rule implies? Do its long
shots get more bandwidth than requests, as section 3.2 has it, by as much as the consensus says, and none in the other market?

Source: huberman-wu, section 3.2, eq. (6) and (7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import trio

from netem.errors import ConfigError
from netem.randomness import keyed_generator
from node.beliefs import make_beliefs
from scenarios.claims import Claim, Record
from scenarios.control import Cast
from scenarios.hosts import node_names
from scenarios.market.belief_claims import MARKETS, belief_claims
from scenarios.market.boards import next_board
from scenarios.market.crowd import LONGEST_HOLD_S, CrowdParams, fill_markets, let_crowd_come, zipf_shares
from scenarios.market.events import CrowdLeft
from scenarios.parameters import Upload, param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import HOLD_MARGIN_S, AnyPeer, Bed
from tracker.desk import Terms

MOST_FILES = 40  # of a market: then all odds are on one page, and a server's bids in one heartbeat
SMALL_FILES = 192  # the largest of so many have less than 90 KB: a long shot is not on its way for the whole show
SETTLE_S = 3.0  # until every server has declared all its files: a heartbeat a second, and some are lost


class Params(CrowdParams, frozen=True, kw_only=True):
    """The crowd's, and what servers believe."""

    nodes: Annotated[int, param("nodes beside the tracker", unit="nodes", ge=3, le=5_000)] = 32
    duration_s: Annotated[float, param("how long the crowd keeps coming", gt=0, le=86_400)] = 70.0
    files: Annotated[int, param("files of each market, if there are so many", unit="files", ge=2, le=MOST_FILES)] = 8
    zipf: Annotated[float, param("exponent of the popularity of a market's files", unit="1", ge=0, le=5)] = 1.5
    load: Annotated[float, param("requested bytes/s over the upload of all nodes", unit="1", gt=0, le=5)] = 0.2
    upload_bytes_per_s: Upload = 30_000.0  # what newcomers are worth unproven is then what they turn out to deliver
    servers_share: Annotated[
        float, param("share of nodes that serve, half in each market; the others ask", unit="1", gt=0, lt=1)
    ] = 0.75
    keep_files: Annotated[
        int, param("downloads that a node keeps and serves; the prediction is for none", unit="files", ge=0, le=65_536)
    ] = 0
    beliefs: Annotated[
        str, param("what servers of the diverse market believe of p; those of the other are given it")
    ] = "heterogeneous"
    belief_noise: Annotated[
        float, param("standard deviation of the log-normal noise of heterogeneous beliefs", unit="1", ge=0, le=5)
    ] = 1.0

    def __post_init__(self) -> None:
        """Refuse markets that leave nobody to ask."""
        super().__post_init__()
        if len(MARKETS) * self.market_servers() >= self.nodes:
            raise ConfigError("servers_share", self.servers_share, "less, so that somebody is left who asks")

    def market_servers(self) -> int:
        """Return how many servers each market has."""
        return max(1, round(self.servers_share * self.nodes / len(MARKETS)))

    def standard_files(self) -> int:
        """Return of how many files of the standard library to take some when the user names no directory: of so many, small ones."""
        return max(SMALL_FILES, self.files * len(MARKETS))


async def run(bed: Bed) -> None:
    """Play the scenario: servers publish their market's files, and the crowd comes and stays."""
    params: Params = bed.params
    each = min(len(bed.content) // len(MARKETS), params.files)
    if each < 2:
        raise ConfigError("--content", f"{len(bed.content)} files", f"at least 2 for each of {len(MARKETS)} markets")
    files = bed.content[: each * len(MARKETS)]
    p = zipf_shares(each, params.zipf)
    prior = np.tile(p, len(MARKETS))
    size = params.market_servers()
    casts = [
        Cast(policy=params.policy, turns=params.turns, beliefs=kind, prior=prior.tolist(), noise=params.belief_noise)
        for kind in (params.beliefs, "given")
        for _ in range(size)
    ]
    drawn = drawn_beliefs(casts, run_seed=bed.run_seed)
    budgets: dict[int, list[float]] = {}
    bed.facts.update(
        files=files,
        popularity=p,
        beliefs=[drawn[:size, :each], drawn[size:, each:]],
        budgets=budgets,
    )
    terms = Terms(
        fee_credits=params.fee_credits,
        endowment_credits=params.endowment_credits,
        hold_s=min(params.duration_s, LONGEST_HOLD_S) + HOLD_MARGIN_S,
    )
    await bed.start(terms=terms, casts=casts)
    servers = bed.peers[: len(MARKETS) * size]
    with bed.lasting(math.inf):
        await fill_markets(bed, [(range(size), files[:each]), (range(size, 2 * size), files[each:])])
        await trio.sleep(SETTLE_S)
    with bed.lasting(params.duration_s):  # no show at all after a Ctrl-C during the preparations
        async with trio.open_nursery() as crowd:
            crowd.start_soon(_look, bed, servers, budgets)
            await let_crowd_come(bed, prior / len(MARKETS), files, customers=slice(len(servers), None))
    bed.emit(CrowdLeft())


def drawn_beliefs(casts: Sequence[Cast], *, run_seed: int) -> np.ndarray:
    """Return p_ij of the first nodes, float64 (nodes, files), as they draw them themselves."""
    return np.array(
        [
            make_beliefs(
                cast.beliefs, cast.prior, noise=cast.noise, chance=keyed_generator(run_seed, "beliefs", name)
            ).probabilities(len(cast.prior))
            for name, cast in zip(node_names(len(casts)), casts, strict=True)
        ]
    )


async def _look(bed: Bed, servers: Sequence[AnyPeer], budgets: dict[int, list[float]]) -> None:
    """Note the splits that the first board shows, and on every board what each server's bandwidth counts."""
    tracker, files = bed.tracker, range(len(bed.facts["files"]))
    await next_board(tracker)
    bed.facts["start"] = np.array(
        [[split.get(file, 0.0) for file in files] for split in (tracker.split(peer.node) for peer in servers)]
    )
    while True:
        budgets[tracker.board] = [tracker.proven_bytes_per_s(peer.node) for peer in servers]
        await next_board(tracker)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then the odds that beliefs led to."""
    return [*shared_claims(record), *belief_claims(record)]
