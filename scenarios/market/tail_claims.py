"""Pure: claims about a long tail: its bandwidth, its shares of bytes and credits, and how long it waits beside the head.

The tail is the less popular half of the files, as in `swarmbed predict market.longshot`.

Source: huberman-wu, sections 3.2 and 3.3; scenarios/market/waiting.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from node.events import DownloadFinished
from node.policies.proportional_response import SHARE_FLOOR
from node.swarm import MAX_SERVERS
from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.market.shelves import Shelves
from scenarios.market.waiting import line_times
from scenarios.market.waiting_claims import DEVIATIONS, Mean, Row, extra_s, loss_error, mean_of, times_by_file
from scenarios.predictions.market.longshot import Input, predict
from tracker.events import DownloadSettled, FeeHeld
from tracker.messages import BLOCK_BYTES

ODDS = "market.longshot; huberman-wu, section 3.2: with common beliefs π = p"
SHARES = "huberman-wu, section 3.3; chance in what is asked for"
WAITS = "scenarios/market/waiting.py: pooled service, bandwidth in proportion to requests"


def longshot_claims(
    p: np.ndarray, boards: Sequence[Sequence[float]], *, shelves: Shelves, error: float, off: str
) -> list[Claim]:
    """Claim that neither favourites nor long shots get more bandwidth than requests, on the mean of these boards.

    Proven rates have independent relative errors (`error`), so Σ_i B_i F_i / Σ_i B_i, with m servers' parts F_i of some quantity, has
    the deviation error sqrt(Σ_i (F_i - mean)²) / m.

    Args:
        p: shares of requests in descending order, float64 of shape (files,).
        boards: π, each of shape (files,).
        shelves: who bids on what.
        error: relative, of a proven rate.
        off: why there is nothing to judge.
    """
    names = ["tail's bandwidth over its requests", "favourite-longshot bias"]
    if off := off or ("no file is more popular than another" if p[0] == p[-1] else ""):
        return [assumed(name, off, ODDS) for name in names]
    if not boards:
        return [unjudged(name, "no boards", ODDS) for name in names]
    tail = slice(len(p) // 2 + len(p) % 2, None)
    measured = predict(Input(p=p.tolist(), odds=np.mean(boards, axis=0).tolist()))
    x = np.log(p) - np.log(p).mean()
    requests = float(p[tail].sum())
    kinds = [
        (names[0], measured["tail"], 1.0, shelves.splits[:, tail].sum(axis=1) / requests, SHARE_FLOOR / requests),
        (names[1], measured["bias"], 0.0, (shelves.splits / p) @ x / (x @ x), SHARE_FLOOR),
    ]
    return [
        compare(
            name,
            predicted=predicted,
            measured=value,
            tolerance=DEVIATIONS * error * float(np.linalg.norm(parts - parts.mean())) / len(parts) + floor,
            source=ODDS,
            note=f"the tail has {requests:.0%} of all requests; mean of {len(boards)} boards",
        )
        for name, value, predicted, parts, floor in kinds
    ]


def share_claims(record: Record, p: np.ndarray) -> list[Claim]:
    """Claim that the tail gets the share of bytes, and of credits, that its requests make of it."""
    sizes = np.array([file.size_bytes for file in record.facts["files"]], dtype=float)
    came = np.bincount([event.index for _, event in record.trace.of(DownloadFinished)], minlength=len(p))
    index_of = {event.download: event.index for _, event in record.trace.of(FeeHeld)}
    paid = np.zeros(len(p))
    for _, event in record.trace.of(DownloadSettled):
        paid[index_of[event.download]] += sum(paid_credits for _, paid_credits in event.payouts)
    requests = int(came.sum())
    return [
        _tail_share("tail's share of bytes", p, each=sizes, got=came * sizes, requests=requests),
        _tail_share("tail's share of credits", p, each=np.ones(len(p)), got=paid, requests=requests),
    ]


def _tail_share(name: str, p: np.ndarray, *, each: np.ndarray, got: np.ndarray, requests: int) -> Claim:
    """Compare the tail's part of what all files got with its prediction: a ratio of two sums over random requests."""
    if not got.any():
        return unjudged(name, "nothing came", SHARES)
    tail = np.arange(len(p)) >= len(p) - len(p) // 2
    mean = float(p @ each)
    share = float(p @ (each * tail)) / mean
    deviation = math.sqrt(float(p @ (each * (tail - share)) ** 2)) / mean
    return compare(
        name,
        predicted=share,
        measured=float(got[tail].sum() / got.sum()),
        tolerance=DEVIATIONS * deviation / math.sqrt(requests),
        source=SHARES,
        note=f"{requests} requests",
    )


def wait_claims(record: Record, shelves: Shelves, *, error: float, off: str) -> list[Claim]:
    """Claim how long both halves of the catalogue take, in times of service and in seconds, given when requests came."""
    names = ["popular half: time / service", "tail: time / service", "tail over popular half", "... in seconds"]
    if off:
        return [assumed(name, off, WAITS) for name in names]
    middle = len(shelves.holders) - len(shelves.holders) // 2
    halves = [range(middle), range(middle, len(shelves.holders))]
    (head, head_s), (tail, tail_s) = [_half(record, shelves, half, error=error) for half in halves]
    return [
        head.claim(names[0], source=WAITS, note="1 is a download that need not wait"),
        tail.claim(names[1], source=WAITS, note="1 is a download that need not wait"),
        tail.over(head).claim(
            names[2], source=WAITS, note="in times of service rank makes no difference but by chance"
        ),
        tail_s.over(head_s).claim(names[3], source=WAITS, note="bandwidth is reserved in proportion to requests"),
    ]


def _half(record: Record, shelves: Shelves, half: range, *, error: float) -> tuple[Mean, Mean]:
    """Return the mean time of the requests for some files, in times of service and in seconds."""
    params, p = record.params, record.facts["popularity"]
    servers = len(shelves.splits)
    times = times_by_file(record)
    in_services: list[Row] = []
    in_seconds: list[Row] = []
    # Proven rates that are wrong by so much move all of the bandwidth of a file, one server's error among many.
    slower = 1 + DEVIATIONS * error / math.sqrt(servers)
    for index in half:
        size_bytes = record.facts["files"][index].size_bytes
        rate = p[index] * servers * params.goodput_bytes_per_s()
        service_s = size_bytes / rate
        holders = min(MAX_SERVERS, len(shelves.holders[index]))
        longer_s, deviation_s = extra_s(params, spacing_s=BLOCK_BYTES * holders / rate, servers=holders)
        noise_s = math.hypot(deviation_s, service_s * loss_error(params, size_bytes))
        starts = [start_s for start_s, _ in times.get(index, ())]
        expected = line_times(starts, [service_s] * len(starts))
        delayed = line_times(starts, [service_s * slower] * len(starts))
        rows = [
            Row(took_s, line_s, longer_s, noise_s, (late_s - line_s) / DEVIATIONS)
            for (_, took_s), line_s, late_s in zip(times.get(index, ()), expected, delayed, strict=True)
        ]
        in_seconds += rows
        in_services += [row.over(service_s) for row in rows]
    return mean_of([in_services]), mean_of([in_seconds])
