"""A new file appears on one server (or a few) among n popular ones: how fast does the market shift bandwidth to it?

Question: a file that a share p of all requests asks for is released on a single server, and whoever finishes a download
serves it too. Do the odds π come to the request shares p, as eq. (5) and section 3.3 promise, does bandwidth for the new
file grow by the logarithmic law of eq. (9), and is every server paid exactly for what it delivered, on a lossy network?

Source: huberman-wu, sections 2 and 3.3, eq. (1), (5), (8), (9).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import trio

from netem.clock import S
from netem.events import Event
from node.downloader import REFRESH_S
from node.events import DownloadFinished
from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.content import Shared
from scenarios.market.crowd import CrowdParams, let_crowd_come, open_market, publish, zipf_shares
from scenarios.market.events import Arrival, CrowdLeft
from scenarios.market.odds_claims import LAST_BOARDS, ODDS, ODDS_NAME, odds_claim
from scenarios.market.theory import copy_times, seed_shares
from scenarios.parameters import param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import Bed
from tracker.desk import Terms

LONG_DELAY_S = 0.1
DOWNLOAD_SLACK = 0.2  # a download may take 1.2 x size / rates
GROWTH = "huberman-wu, eq. (8) and (9), in units of one copy's upload time: scenarios/market/theory.py"


class Params(CrowdParams, frozen=True, kw_only=True):
    """The crowd's, and what is special about the new file."""

    new_share: Annotated[float, param("share of requests for the new file, once it is out", unit="1", gt=0, lt=1)] = 0.3
    appear_s: Annotated[float, param("when the new file appears", ge=0, le=3600)] = 5.0
    new_seeds: Annotated[int, param("servers that have the new file at first", unit="nodes", ge=1, le=5_000)] = 1


class NewFileReleased(Event, frozen=True):
    """The new file is on its first servers."""

    index: int
    size_bytes: int


def popularity(params: Params, old_files: int) -> np.ndarray:
    """Return p, float64 of shape (old_files + 1,): Zipf over the old files in order, the new file last."""
    return np.append(zipf_shares(old_files, params.zipf) * (1 - params.new_share), params.new_share)


async def run(bed: Bed) -> None:
    """Play the scenario: servers publish the old files, the crowd comes, the new file appears."""
    # The file of median size is the new one, so that its growth is typical of this content; one of no bytes has no growth.
    some = [file for file in bed.content if file.size_bytes] or bed.content
    by_size = sorted(some, key=lambda file: (file.size_bytes, file.name))
    new = by_size[len(by_size) // 2]
    old = [file for file in bed.content if file is not new]
    p = popularity(bed.params, len(old))
    files = [*old, new]
    bed.facts.update(popularity=p, new_index=len(old), files=files)
    await open_market(bed, p, old)
    released = trio.Event()
    with bed.lasting(bed.params.duration_s):  # no show at all after a Ctrl-C during the preparations
        async with trio.open_nursery() as crowd:
            crowd.start_soon(_release, bed, new, released)
            await let_crowd_come(bed, p, files, is_out=lambda index: index < len(old) or released.is_set())
    bed.emit(CrowdLeft())


async def _release(bed: Bed, new: Shared, released: trio.Event) -> None:
    await trio.sleep(bed.params.appear_s)
    index = await publish(bed.peers[0], new)
    async with trio.open_nursery() as publishing:
        for peer in bed.peers[1 : _seeds(bed.params)]:
            publishing.start_soon(publish, peer, new)
    bed.emit(NewFileReleased(index, new.size_bytes))
    released.set()


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then the odds and the new file's growth."""
    return [*shared_claims(record), new_odds_claim(record), growth_claim(record)]


def new_odds_claim(record: Record) -> Claim:
    """Claim that the odds come to the request shares that hold since the new file is out.

    A share p of all bandwidth takes about a share p of all servers, so as many requests as there are nodes. With fewer than
    that by the last boards, the new file is still growing then, and the odds of the old ones are judged among themselves.
    """
    params: Params = record.params
    if off := _no_release(params):
        return assumed(ODDS_NAME, off, ODDS)
    released_ns, ended_ns = _show(record)
    growing_s = params.duration_s - params.appear_s - LAST_BOARDS * Terms().board_interval_s
    expected = params.requests_per_s(_mean_bytes(record)) * max(0.0, growing_s)
    few = expected < params.nodes and record.facts["new_index"] > 0
    asked = [arrival.index for _, arrival in record.trace.of(Arrival) if arrival.node]
    return odds_claim(
        record,
        record.facts["popularity"],
        requests=sum(1 for index in asked if index != record.facts["new_index"] or not few),
        from_ns=released_ns,
        to_ns=ended_ns,
        growing=f"the new file still grows: {expected:.0f} requests by then, for {params.nodes} nodes" if few else "",
    )


def growth_claim(record: Record) -> Claim:
    """Claim that the new file's first copies come by the logarithmic law, given when they were asked for."""
    params: Params = record.params
    index = record.facts["new_index"]
    released_ns, _ = _show(record)
    copies = _copies(record)
    name = f"{copies} copies of the new file (s)"
    size_bytes = record.facts["files"][index].size_bytes
    if off := _no_release(params) or _other_bottleneck(params) or ("" if size_bytes else "the new file has no bytes"):
        return assumed(name, off, GROWTH)
    arrivals = [(t - released_ns) / S for t, e in record.trace.of(Arrival) if e.index == index and e.node]
    ends = [(t - released_ns) / S for t, e in record.trace.of(DownloadFinished) if e.index == index]
    if len(ends) < copies:
        return unjudged(name, f"only {len(ends)} copies were finished", GROWTH)
    predicted = copy_times(
        arrivals[:copies],
        seed_shares(params.new_share, old_files=index, servers=params.initial_servers(), seeds=_seeds(params)),
        copy_s=size_bytes / params.goodput_bytes_per_s(),
        board_s=Terms().board_interval_s,
        notice_s=REFRESH_S / 2
        + 8 * params.link().mean_delay_s(),  # on average; then four round trips to the first block
        seeds=_seeds(params),
    )[-1]
    return compare(
        name,
        predicted=predicted,
        measured=ends[copies - 1],
        tolerance=DOWNLOAD_SLACK * predicted + Terms().board_interval_s,
        source=GROWTH,
        note="downloads may take 1.2 x size / rates, and bids move once a board",
    )


def _mean_bytes(record: Record) -> float:
    return float(record.facts["popularity"] @ [file.size_bytes for file in record.facts["files"]])


def _copies(record: Record) -> int:
    """Return how many copies are predicted: half of what the file's share of the nodes, or of the requests, comes to."""
    params: Params = record.params
    show_s = params.duration_s - params.appear_s
    most = min(params.nodes, params.requests_per_s(_mean_bytes(record)) * show_s)
    return max(3, round(params.new_share * most / 2))


def _seeds(params: Params) -> int:
    """Return how many servers have the new file at first: as many as asked for, of those that there are."""
    return min(params.new_seeds, params.initial_servers())


def _no_release(params: Params) -> str:
    return "the new file appears only after the run" if params.appear_s >= params.duration_s else ""


def _other_bottleneck(params: Params) -> str:
    """Say what limits growth besides the servers' upload, which alone the prediction knows."""
    if params.topology:
        return "a topology gives nodes links of their own"
    slowest = min(params.download_bytes_per_s, params.link().rate_bytes_per_s)
    if slowest < params.nodes * params.upload_bytes_per_s:
        return "links or downloads are limited, so uploads are not the bottleneck"
    if params.link().mean_delay_s() > LONG_DELAY_S:
        return f"delays beyond {LONG_DELAY_S:g} s, so conversations and not uploads are the bottleneck"
    return ""


def _show(record: Record) -> tuple[int, int]:
    """Return when the new file was released and when the crowd left, in ns; never, if it did not happen."""
    released = [t for t, _ in record.trace.of(NewFileReleased)]
    ended = [t for t, _ in record.trace.of(CrowdLeft)]
    return (released[0] if released else 2**63), (ended[0] if ended else 2**63)
