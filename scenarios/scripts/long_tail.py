"""A catalogue of hundreds of files, most of which few ask for: does every one of them come, and does the tail wait longer?

Question: the paper says that the market provides any content in real time, whatever its popularity, and lengthens the tail of what is
offered. Servers with room for a small part of the catalogue hold each file a few times, and the crowd asks for files by Zipf's
law. Does every request end with its file? Does the tail get its share of bandwidth, bytes and credits, and no more? And how much
longer do unpopular files take?

With π = p every file has the same load ρ: waits are the same for all ranks when they are counted in times of service, which is what
"regardless of popularity" can mean. In seconds the tail takes longer, for its bandwidth is reserved in proportion to its requests.

Source: huberman-wu, sections 1, 3.2 and 4; scenarios/market/waiting.py; `swarmbed predict market.longshot`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import trio

from netem.clock import S
from netem.errors import ConfigError
from scenarios.claims import Claim, Record
from scenarios.market.crowd import CrowdParams, let_crowd_come, publish, publish_all, start_market, zipf_shares
from scenarios.market.events import CrowdLeft
from scenarios.market.odds_claims import odds_claim, proven_error, unsettled
from scenarios.market.shelves import Shelves, fill_shelves
from scenarios.market.tail_claims import longshot_claims, share_claims, wait_claims
from scenarios.market.waiting_claims import answered_claim, other_bottleneck
from scenarios.parameters import Upload, param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import Bed
from tracker.events import BoardPosted, FeeHeld

SETTLE_S = 20.0  # as many boards: shares that were 80 times too large have come within a few percent
PATIENCE_S = 60.0  # for what is under way when the last request has come, besides ...
LINE = 5  # ... so many downloads of the slowest file in a line
UNEVEN = 0.05  # a shelf wanted so much more than the mean has too little bandwidth for π = p


class Params(CrowdParams, frozen=True, kw_only=True):
    """The crowd's, and how large the catalogue and the stores are."""

    duration_s: Annotated[float, param("how long the crowd keeps coming", gt=0, le=86_400)] = 60.0
    upload_bytes_per_s: Upload = 62_500.0
    load: Annotated[float, param("requested bytes/s over the upload of all nodes", unit="1", gt=0, lt=0.8)] = 0.3
    servers_share: Annotated[
        float, param("share of nodes that hold files at first; the rest only fetch", unit="1", gt=0, le=1)
    ] = 1.0
    keep_files: Annotated[
        int, param("downloads a node has room for beside what it holds at first", unit="files", ge=0, le=65_536)
    ] = 0
    files: Annotated[int, param("files in the catalogue", unit="files", ge=4, le=4_096)] = 240
    copies: Annotated[
        int, param("servers that hold a file at first; more if it is popular", unit="servers", ge=2, le=64)
    ] = 3

    def standard_files(self) -> int:
        """Return how many files of the standard library are shared when the user names no directory."""
        return self.files


def check(params: Params) -> None:
    """Refuse more copies than servers; not in the parameters themselves, which are also asked how many nodes would fit this host."""
    if params.copies > params.initial_servers():
        raise ConfigError("copies", params.copies, f"2 to {params.initial_servers()}, as many as there are servers")


async def run(bed: Bed) -> None:
    """Play the scenario: fill the shelves, let the odds settle, let the crowd come and get everything it asked for."""
    params: Params = bed.params
    check(params)
    # Chance ranks the files, so that size and popularity have nothing to do with each other.
    files = [bed.content[place] for place in bed.chance("ranks").permutation(len(bed.content))][: params.files]
    p = zipf_shares(len(files), params.zipf)
    shelves = fill_shelves(p, servers=params.initial_servers(), copies=params.copies)
    bed.facts.update(files=files, popularity=p)
    bandwidth = params.initial_servers() * params.goodput_bytes_per_s()
    slowest_s = max(file.size_bytes / (share * bandwidth) for file, share in zip(files, p.tolist(), strict=True))
    stays_s = params.duration_s + LINE * slowest_s + PATIENCE_S
    await start_market(bed, p, stays_s=stays_s)
    with bed.lasting(math.inf):
        for file, holders in zip(files, shelves.holders, strict=True):  # one by one, so that indices follow the order
            await publish(bed.peers[holders[0]], file)
        async with trio.open_nursery() as publishing:
            for number in range(params.initial_servers()):
                more = [file for file, holders in zip(files, shelves.holders, strict=True) if number in holders[1:]]
                publishing.start_soon(publish_all, bed.peers[number], more)
        await trio.sleep(SETTLE_S)
    bed.facts["began_ns"] = bed.clock.now_ns()
    with bed.lasting(stays_s):
        await let_crowd_come(bed, p, files, for_s=params.duration_s)
    bed.emit(CrowdLeft())


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then whether all came, the odds, the tail's share, and the waits."""
    params: Params = record.params
    p: np.ndarray = record.facts["popularity"]
    shelves = fill_shelves(p, servers=params.initial_servers(), copies=params.copies)
    from_ns = record.facts["began_ns"]
    to_ns = from_ns + round(params.duration_s * S)
    error = proven_error(record)
    boards = [e.shares for t, e in record.trace.of(BoardPosted) if from_ns < t <= to_ns and len(e.shares) == len(p)]
    off = other_odds(params, shelves)
    limited = other_bottleneck(params, servers=len(shelves.splits))
    return [
        *shared_claims(record),
        answered_claim(record),
        odds_claim(record, p, requests=len(record.trace.of(FeeHeld)), from_ns=from_ns, to_ns=to_ns),
        *longshot_claims(p, boards, shelves=shelves, error=error, off=off),
        *share_claims(record, p),
        *wait_claims(record, shelves, error=error, off=off or limited),
    ]


def other_odds(params: Params, shelves: Shelves) -> str:
    """Say why π need not be p with these parameters; "" when it should be."""
    if params.beliefs == "learned":
        return "beliefs are learned, from a few requests for each file of the tail"
    if params.keep_files:
        return "downloads are kept: each is one more server, and serves what it fetched whatever its odds"
    if shelves.unevenness > UNEVEN:
        return f"the most wanted shelf is wanted {shelves.unevenness:.0%} more than the mean: its files lack bandwidth"
    return unsettled(params)
