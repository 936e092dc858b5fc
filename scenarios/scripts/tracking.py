"""What people want changes overnight: how fast do the odds follow, and what if servers hardly hear them?

Question: three markets side by side, each with files and servers of its own, are in equilibrium when the popularity of all files
shifts, and servers know. Do p/π come back to uniform, as section 3.3 promises of a system that frequently broadcasts π, and in
the time that the servers' rule implies: where boards come as the network lets them (`fresh`), where many of them are lost
(`lossy`), and where servers hear no more of them (`deaf`)?

Source: huberman-wu, section 3.3 ("the above analysis only makes sense if the characteristic time it takes for the system to relax
back to uniformity from any disturbance is short").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import trio

from netem.errors import ConfigError
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from scenarios.claims import Claim, Record
from scenarios.content import Shared
from scenarios.hosts import TRACKER, node_names
from scenarios.market.crowd import LONGEST_HOLD_S, CrowdParams, fill_markets, let_crowd_come, zipf_shares
from scenarios.market.events import CrowdLeft
from scenarios.market.theory import total_variation
from scenarios.market.tracking_claims import PopularityShifted, tracking_claims
from scenarios.market.tracking_model import MARKETS
from scenarios.parameters import param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import HOLD_MARGIN_S, AnyPeer, Bed
from tracker.desk import Terms

MOST_FILES = 40  # of a market: then all odds are on one page, and a server's bids in one heartbeat
QUIET_S = 0.5  # from the last board that deaf servers are sent until the shift


class Params(CrowdParams, frozen=True, kw_only=True):
    """The crowd's, when and how popularity shifts, and how servers hear of the odds."""

    nodes: Annotated[int, param("nodes beside the tracker", unit="nodes", ge=3, le=5_000)] = 72
    duration_s: Annotated[float, param("how long the crowd keeps coming", gt=0, le=86_400)] = 50.0
    zipf: Annotated[float, param("exponent of the popularity of a market's files", unit="1", ge=0, le=5)] = 2.0
    load: Annotated[float, param("requested bytes/s over the upload of all nodes", unit="1", gt=0, le=5)] = 0.05
    servers_share: Annotated[
        float, param("share of nodes that serve, a third in each market; the others ask", unit="1", gt=0, lt=1)
    ] = 5 / 6
    keep_files: Annotated[
        int, param("downloads that a node keeps and serves; the prediction is for none", unit="files", ge=0, le=65_536)
    ] = 0
    shift_s: Annotated[float, param("when popularity shifts", ge=1, le=86_400)] = 15.0
    rotate: Annotated[
        int,
        param("places by which popularity moves down the list of a market's files", unit="files", ge=1, le=MOST_FILES),
    ] = 1
    board_interval_s: Annotated[float, param("seconds between two boards", ge=0.5, le=5)] = 1.0
    odds_loss: Annotated[
        float, param("further loss of what the tracker sends the lossy market's servers", unit="1", ge=0, le=0.7)
    ] = 0.5
    near: Annotated[
        float, param("total variation from the new shares at which the odds count as back", unit="1", gt=0, lt=1)
    ] = 0.1

    def market_servers(self) -> int:
        """Return how many servers each market has: by their share, but leave somebody to ask."""
        most = (self.nodes - 1) // len(MARKETS)
        return max(1, min(round(self.servers_share * self.nodes / len(MARKETS)), most))


async def run(bed: Bed) -> None:
    """Play the scenario: servers publish their market's files, the crowd comes, its taste changes."""
    params: Params = bed.params
    each = min(len(bed.content) // len(MARKETS), MOST_FILES)
    if not each:
        raise ConfigError("--content", len(bed.content), f"at least {len(MARKETS)} files, one for each market")
    old = zipf_shares(each, params.zipf)
    new = np.roll(old, params.rotate)
    _check_shift(params, old, new)
    files = bed.content[: each * len(MARKETS)]
    bed.facts.update(files=files, old=old, new=new)
    await _open_markets(bed, files, old)
    wanted = np.tile(old, len(MARKETS)) / len(MARKETS)
    bed.facts["popularity"] = wanted.copy()  # for who watches
    with bed.lasting(params.duration_s):  # no show at all after a Ctrl-C during the preparations
        async with trio.open_nursery() as crowd:
            crowd.start_soon(_shift, bed, wanted)
            customers = slice(len(MARKETS) * params.market_servers(), None)
            await let_crowd_come(bed, wanted, files, customers=customers)
    _note_rates(bed)
    bed.emit(CrowdLeft())


def _check_shift(params: Params, old: np.ndarray, new: np.ndarray) -> None:
    """Refuse a shift that is none; with one file in each market there can be none, and nothing will be judged."""
    distance = total_variation(old, new)
    if len(old) > 1 and not distance:
        raise ConfigError("rotate", params.rotate, f"no multiple of the {len(old)} files of a market, and zipf above 0")
    if len(old) > 1 and params.near >= distance:
        raise ConfigError("near", params.near, f"below {distance:.3g}, how far zipf and rotate move the shares")


async def _open_markets(bed: Bed, files: Sequence[Shared], old: np.ndarray) -> None:
    """Start tracker and peers, and let servers publish; catalogue indices follow the order of files."""
    params: Params = bed.params
    terms = Terms(
        fee_credits=params.fee_credits,
        endowment_credits=params.endowment_credits,
        hold_s=min(params.duration_s, LONGEST_HOLD_S) + HOLD_MARGIN_S,
        board_interval_s=params.board_interval_s,
    )
    await bed.start(
        terms=terms,
        policy=params.policy,
        turns=params.turns,
        beliefs=params.beliefs,
        prior=() if params.beliefs == "learned" else np.tile(old, len(MARKETS)),
        noise=params.belief_noise,
    )
    shelves = [files[first : first + len(old)] for first in range(0, len(files), len(old))]
    # The first boards tell only of those who were first: whoever heard them would bid like nobody else for long.
    bed.tracker.withhold_odds(peer.node for peer in bed.peers)
    with bed.lasting(math.inf):
        await fill_markets(bed, list(zip(_places(params), shelves, strict=True)))
    bed.tracker.withhold_odds(())


def _places(params: Params) -> list[range]:
    """Return the places of each market's servers among all peers."""
    size = params.market_servers()
    return [range(first, first + size) for first in range(0, size * len(MARKETS), size)]


def _markets(bed: Bed) -> list[Sequence[AnyPeer]]:
    """Return the servers of each market as they are now: a crash brings a new boot."""
    return [bed.peers[servers.start : servers.stop] for servers in _places(bed.params)]


async def _shift(bed: Bed, wanted: np.ndarray) -> None:
    """Cut the deaf off from the odds, then change what everybody wants, and what servers believe unless they learn it."""
    params: Params = bed.params
    await trio.sleep(params.shift_s - QUIET_S)
    bed.tracker.withhold_odds(peer.node for peer in _markets(bed)[MARKETS.index("deaf")])
    await trio.sleep(QUIET_S)
    size, lossy = params.market_servers(), MARKETS.index("lossy")
    if params.odds_loss:
        names = node_names(params.nodes)[lossy * size : (lossy + 1) * size]
        bed.network.impair(TRACKER, names, _lossier(params.link(), params.odds_loss))
    wanted[:] = np.tile(bed.facts["new"], len(MARKETS)) / len(MARKETS)
    bed.facts["popularity"] = wanted.copy()
    _note_rates(bed)
    bed.emit(PopularityShifted(wanted.tolist()))
    if params.beliefs != "learned":
        async with trio.open_nursery() as telling:
            for peer in bed.peers[: size * len(MARKETS)]:
                telling.start_soon(peer.believe, wanted.tolist())


def _note_rates(bed: Bed) -> None:
    """Note what the odds weigh each server with, by market, for the claims."""
    rates = [[bed.tracker.proven_bytes_per_s(peer.node) for peer in servers] for servers in _markets(bed)]
    bed.facts["proven_bytes_per_s"] = rates


def _lossier(link: LinkConfig, loss: float) -> LinkConfig:
    return LinkConfig((Loss(loss), *link.impairments), rate_bytes_per_s=link.rate_bytes_per_s)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then how the odds of each market followed."""
    return [*shared_claims(record), *tracking_claims(record)]
