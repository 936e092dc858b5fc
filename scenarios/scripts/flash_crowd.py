"""A new file appears on one server among n popular ones: how fast does the market shift bandwidth to it?

Question: a file that a share p of all requests asks for is released on a single server, and whoever finishes a download
serves it too. Do the odds π come to the request shares p, as eq. (5) and section 3.3 promise, does bandwidth for the new
file grow by the logarithmic law of eq. (9), and is every server paid exactly for what it delivered, on a lossy network?

Source: huberman-wu, sections 2 and 3.3, eq. (1), (5), (8), (9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import trio

from netem.clock import S
from netem.errors import ConfigError, Rejection
from netem.events import Event
from node.downloader import MAX_SERVERS, REFRESH_S
from node.events import DownloadFinished, PieceAccepted
from node.peer import CONTROL_RESERVE
from node.policies import make_policy, policy_names
from node.policies.proportional_response import SHARE_FLOOR
from scenarios.claims import Claim, Record, compare
from scenarios.content import Shared
from scenarios.parameters import Params as CommonParams
from scenarios.parameters import param
from scenarios.shared_claims import shared_claims
from scenarios.testbed import AnyPeer, Bed
from scenarios.theory import copy_times, distance_bound, odds_noise, rate_error, seed_shares, total_variation
from tracker.desk import Terms
from tracker.events import BoardPosted
from tracker.odds import HALF_LIFE_S

LAST_BOARDS = (
    15  # about one memory of the proven rates: fewer would judge a moment, more would reach back into the growth
)
SMALLEST_MEAN_BYTES = 64 * 1024  # of what the load is reckoned with
LONG_DELAY_S = 0.1
DOWNLOAD_SLACK = 0.2  # a download may take 1.2 x size / rates
ODDS_NAME = "odds against requests (TV)"
ODDS = "huberman-wu, section 3.3 (uniform p/π) with eq. (5); noise: scenarios/theory.py"
GROWTH = "huberman-wu, eq. (8) and (9), in units of one copy's upload time: scenarios/theory.py"


class Params(CommonParams, frozen=True, kw_only=True):
    """The crowd's size and taste, and the servers' policy."""

    zipf: Annotated[float, param("exponent of the old files' popularity", unit="1", ge=0, le=5)] = 0.8
    new_share: Annotated[float, param("share of requests for the new file, once it is out", unit="1", gt=0, lt=1)] = 0.3
    appear_s: Annotated[float, param("when the new file appears", ge=0, le=3600)] = 5.0
    load: Annotated[float, param("requested bytes/s over the upload of all nodes", unit="1", gt=0, le=5)] = 0.29
    servers_share: Annotated[float, param("share of nodes that hold every old file at first", unit="1", ge=0, le=1)] = (
        0.5
    )
    keep_files: Annotated[
        int,
        param("downloads a node has room for; the one that earns least makes way", unit="files", ge=1, le=65_536),
    ] = 2
    policy: Annotated[
        str, param(f"how servers split their upload: {', '.join(policy_names())}, or your own FILE.py")
    ] = "proportional_response"
    beliefs: Annotated[Literal["given", "learned"], param("what servers believe of p")] = "given"
    fee_credits: Annotated[int, param("flat fee per download, micro-credits", ge=1, le=10**12)] = 1_000_000
    endowment_credits: Annotated[int, param("granted at join, micro-credits", ge=0, le=10**15)] = 10**8

    def __post_init__(self) -> None:
        """Refuse a policy that there is not, and a fee that nobody could pay."""
        make_policy(self.policy)
        if self.fee_credits > self.endowment_credits:
            raise ConfigError("fee_credits", self.fee_credits, f"at most endowment_credits ({self.endowment_credits})")


class Arrival(Event, frozen=True):
    """One of the crowd wants a file; `node` is who will fetch it, empty when everybody has it or is fetching it."""

    index: int
    node: bytes


class CrowdLeft(Event, frozen=True):
    """No more requests come; downloads under way are closed."""


class NewFileReleased(Event, frozen=True):
    """The new file is on its one server."""

    index: int
    size_bytes: int


def popularity(params: Params, old_files: int) -> np.ndarray:
    """Return p, float64 of shape (old_files + 1,): Zipf over the old files in order, the new file last."""
    weights = np.arange(1, old_files + 1, dtype=float) ** -params.zipf
    return np.append(weights / weights.sum() * (1 - params.new_share), params.new_share)


async def run(bed: Bed) -> None:
    """Play the scenario: servers publish the old files, the crowd comes, the new file appears."""
    params: Params = bed.params
    # The file of median size is the new one, so that its growth is typical of this content.
    by_size = sorted(bed.content, key=lambda file: (file.size_bytes, file.name))
    new = by_size[len(by_size) // 2]
    old = [file for file in bed.content if file is not new]
    p = popularity(params, len(old))
    bed.facts.update(popularity=p, new_index=len(old), files=[*old, new])
    terms = Terms(
        fee_credits=params.fee_credits, endowment_credits=params.endowment_credits, hold_s=params.duration_s + 60
    )

    # "given" is told p; "learned" starts from one pseudo-count per file.
    prior = p if params.beliefs == "given" else ()
    await bed.start(terms=terms, policy=params.policy, beliefs=params.beliefs, prior=prior)
    servers = _initial_servers(params)
    with bed.lasting(math.inf):
        await _publish_all(bed.peers[0], old)  # the first alone, so that catalogue indices follow popularity
        async with trio.open_nursery() as publishing:
            for peer in bed.peers[1:servers]:
                publishing.start_soon(_publish_all, peer, old)
    with bed.lasting(params.duration_s):  # no show at all after a Ctrl-C during the preparations
        async with trio.open_nursery() as crowd:
            crowd.start_soon(_release, bed, new)
            crowd.start_soon(_arrivals, bed, p)
    bed.emit(CrowdLeft())


async def _publish_all(peer: AnyPeer, files: Sequence[Shared]) -> None:
    for file in files:
        await peer.publish(file.name, file.path)


async def _release(bed: Bed, new: Shared) -> None:
    await trio.sleep(bed.params.appear_s)
    index = await bed.peers[0].publish(new.name, new.path)
    bed.emit(NewFileReleased(index, new.size_bytes))
    bed.facts["released"] = True


async def _arrivals(bed: Bed, p: np.ndarray) -> None:
    """Let requests arrive as a Poisson stream; each picks a file by p and a random node that lacks it."""
    params: Params = bed.params
    # Asking costs time too: a crowd for empty files would be endless.
    mean_bytes = max(float(p @ [file.size_bytes for file in bed.facts["files"]]), SMALLEST_MEAN_BYTES)
    per_s = params.load * params.nodes * params.upload_bytes_per_s / mean_bytes
    chance = bed.chance("crowd")
    fetching: set[tuple[bytes, int]] = bed.facts.setdefault("fetching", set())
    next_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        while True:
            next_s += float(chance.exponential(1 / per_s))
            await trio.sleep_until(next_s)
            index = int(np.searchsorted(np.cumsum(p), chance.random(), side="right"))
            pick = chance.random()
            if index >= len(p) - 1 and "released" not in bed.facts:
                continue  # nobody asks for a file that is not out
            free = [q for q in bed.peers if not q.holds(index) and (q.node, index) not in fetching]
            peer = free[int(pick * len(free))] if free else None
            bed.emit(Arrival(index, peer.node if peer else b""))
            if peer is not None:
                nursery.start_soon(_fetch, bed, peer, index)


async def _fetch(bed: Bed, peer: AnyPeer, index: int) -> None:
    """Fetch a file and serve it, in a finite store: in an endless one a short run would end with everybody holding everything."""
    fetching = bed.facts["fetching"]
    fetching.add((peer.node, index))
    try:
        await peer.fetch(index)
        await peer.make_room(bed.params.keep_files)
    except Rejection:
        pass  # told by the DownloadStopped event
    finally:
        fetching.discard((peer.node, index))


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then the odds and the new file's growth."""
    return [*shared_claims(record), odds_claim(record), growth_claim(record)]


def odds_claim(record: Record) -> Claim:
    """Claim that the odds, averaged over the last boards, are the request shares up to the noise of proven rates."""
    params: Params = record.params
    p: np.ndarray = record.facts["popularity"]
    off = (
        "the policy is price_taker: it herds, and settles nowhere"
        if params.policy == "price_taker"
        else _no_release(params)
    )
    if off:
        return _assumed(ODDS_NAME, off, ODDS)
    released_ns, ended_ns = _show(record)
    boards = [e for t, e in record.trace.of(BoardPosted) if released_ns < t <= ended_ns and len(e.shares) == len(p)]
    if len(boards) < 2 * LAST_BOARDS:
        return _unjudged(ODDS_NAME, f"fewer than {2 * LAST_BOARDS} boards", ODDS)
    last = boards[-LAST_BOARDS:]
    error = rate_error(
        lump_bytes=_mean_lump_bytes(record),
        rate_bytes_per_s=params.upload_bytes_per_s * (1 - CONTROL_RESERVE) * (1 - params.link().loss_rate()),
        half_life_s=HALF_LIFE_S,
    )
    noise = odds_noise(p, servers=last[-1].servers, relative_error=error)
    # A split keeps SHARE_FLOOR, shared by its files, so that a bid can return: that much is out of place at most.
    tolerance = distance_bound(noise) + SHARE_FLOOR
    if params.beliefs == "learned":
        tolerance += _learning_error(record, p, servers=last[-1].servers)
    if tolerance >= _uniform_distance(p):
        return _unjudged(ODDS_NAME, f"noise up to {tolerance:.2f} would hide even equal bandwidth for all files", ODDS)
    return compare(
        ODDS_NAME,
        predicted=0.0,
        measured=total_variation(np.mean([e.shares for e in last], axis=0), p),
        tolerance=tolerance,
        source=ODDS,
        note=f"mean of the last {LAST_BOARDS} boards; all files alike would be {_uniform_distance(p):.3f} away",
    )


def growth_claim(record: Record) -> Claim:
    """Claim that the new file's first copies come by the logarithmic law, given when they were asked for."""
    params: Params = record.params
    index = record.facts["new_index"]
    released_ns, _ = _show(record)
    copies = max(3, round(params.new_share * params.nodes / 2))
    name = f"{copies} copies of the new file (s)"
    if off := _no_release(params) or _other_bottleneck(params):
        return _assumed(name, off, GROWTH)
    arrivals = [(t - released_ns) / S for t, e in record.trace.of(Arrival) if e.index == index and e.node]
    ends = [(t - released_ns) / S for t, e in record.trace.of(DownloadFinished) if e.index == index]
    if len(ends) < copies:
        return _unjudged(name, f"only {len(ends)} copies were finished", GROWTH)
    predicted = copy_times(
        arrivals[:copies],
        seed_shares(params.new_share, old_files=index, servers=_initial_servers(params)),
        copy_s=record.facts["files"][index].size_bytes / params.goodput_bytes_per_s(),
        board_s=Terms().board_interval_s,
        notice_s=REFRESH_S / 2
        + 8 * params.link().mean_delay_s(),  # on average; then four round trips to the first block
    )[-1]
    return compare(
        name,
        predicted=predicted,
        measured=ends[copies - 1],
        tolerance=DOWNLOAD_SLACK * predicted + Terms().board_interval_s,
        source=GROWTH,
        note="downloads may take 1.2 x size / rates, and bids move once a board",
    )


def _no_release(params: Params) -> str:
    return "the new file appears only after the run" if params.appear_s >= params.duration_s else ""


def _other_bottleneck(params: Params) -> str:
    """Say what limits growth besides the servers' upload, which alone the prediction knows."""
    slowest = min(params.download_bytes_per_s, params.link().rate_bytes_per_s)
    if slowest < params.nodes * params.upload_bytes_per_s:
        return "links or downloads are limited, so uploads are not the bottleneck"
    if params.link().mean_delay_s() > LONG_DELAY_S:
        return f"delays beyond {LONG_DELAY_S:g} s, so conversations and not uploads are the bottleneck"
    return ""


def _initial_servers(params: Params) -> int:
    return max(2, round(params.servers_share * params.nodes))


def _show(record: Record) -> tuple[int, int]:
    """Return when the new file was released and when the crowd left, in ns; never, if it did not happen."""
    released = [t for t, _ in record.trace.of(NewFileReleased)]
    ended = [t for t, _ in record.trace.of(CrowdLeft)]
    return (released[0] if released else 2**63), (ended[0] if ended else 2**63)


def _mean_lump_bytes(record: Record) -> float:
    """Return the size-weighted mean of the lumps in which bytes are proven: a server's part of a verified piece."""
    lumps = np.array([n for _, e in record.trace.of(PieceAccepted) for _, n in e.sources], dtype=float)
    return float((lumps**2).sum() / lumps.sum()) if lumps.size else 0.0


def _learning_error(record: Record, p: np.ndarray, *, servers: int) -> float:
    """Bound what learning p from n requests adds: sampling, and the pull of one pseudo-count per file."""
    n = sum(1 for _, e in record.trace.of(Arrival) if e.node)
    each = max(1.0, n * min(1.0, MAX_SERVERS / servers))  # requests that one server hears of
    pull = len(p) / (len(p) + each) * _uniform_distance(p)
    return pull + distance_bound(np.sqrt(p * (1 - p) / max(n, 1)))


def _uniform_distance(p: np.ndarray) -> float:
    return total_variation(np.full(len(p), 1 / len(p)), p)


def _assumed(name: str, why: str, source: str) -> Claim:
    """Leave a claim unjudged because the user switched off what it assumes."""
    return Claim(name=name, predicted=None, measured=None, tolerance=0.0, ok=None, source=source, note=why)


def _unjudged(name: str, why: str, source: str) -> Claim:
    return Claim(
        name=name, predicted=None, measured=None, tolerance=0.0, ok=False, source=source, note=f"{why}: too little data"
    )
