"""Pure: claims about which files servers with finite stores come to store, and the odds that follow.

Source: huberman-wu, section 1 (finite providers) and section 2 (a server's subset); scenarios/solvers/places.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netem.clock import S
from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.market.events import CrowdLeft
from scenarios.market.odds_claims import LAST_BOARDS, proven_error
from scenarios.market.theory import distance_bound, total_variation
from scenarios.solvers.places import place_worths, places_at_rest, rest_bounds
from tracker.events import BoardPosted, FileHeld

REST = "huberman-wu, section 2 (a server's optimal subset), eq. (1): scenarios/solvers/places.py"
SHELVES = (
    "huberman-wu, section 2: π_j is the part of all bandwidth that serves file j; noise: scenarios/market/theory.py"
)
PLACES_NAME, FILES_NAME = "places in stores on other files", "files that servers offer"
ODDS_NAME = "odds against what is stored (TV)"
HIDDEN = math.sqrt(2.0)  # standard deviations of each of two worths, so that two of their difference are hidden
NEWS_S = 2.0  # a heartbeat's and a board's second, until the odds show what is stored


def store_claims(record: Record) -> list[Claim]:
    """Judge what came on offer, and the odds."""
    return [*rest_claims(record), odds_claim(record)]


def rest_claims(record: Record) -> list[Claim]:
    """Claim that servers come to rest on the files that theory says, and so on how many."""
    names = (PLACES_NAME, FILES_NAME)
    params, facts = record.params, record.facts
    if off := _unlike(record):
        return [assumed(name, off, REST) for name in names]
    counts = _last_counts(record)
    places = int(counts.sum())
    wanted = len(facts["servers"]) * params.keep_files
    if places < wanted:
        return [unjudged(name, f"{places} of {wanted} places are taken", REST) for name in names]
    rest = _rest(record)
    if rest.moving_hides:
        why = "a licence and its fee cost so much of what a place earns that servers stay where they are"
        return [assumed(name, why, REST) for name in names]
    if rest.noise_hides:
        return [unjudged(name, "the noise of proven rates would hide any choice", REST) for name in names]
    files = int(np.count_nonzero(rest.counts))
    return [
        compare(
            PLACES_NAME,
            predicted=0,
            measured=int(np.abs(counts - rest.counts).sum()) // 2,
            tolerance=rest.farthest,
            source=REST,
            note=f"places by file: {_listed(rest.counts)} predicted, {_listed(counts)} of {places} measured",
        ),
        compare(
            FILES_NAME,
            predicted=files,
            measured=int(np.count_nonzero(counts)),
            tolerance=files - rest.fewest,
            source=REST,
            note=f"of {len(counts)}; servers that store what is popular would offer {params.keep_files}",
        ),
    ]


def odds_claim(record: Record) -> Claim:
    """Claim that the odds, averaged over the last boards, are the shares of bandwidth that what is stored amounts to."""
    if off := _uneven(record):
        return assumed(ODDS_NAME, off, SHELVES)
    ended_ns = _ended_ns(record)
    boards = [(t, e) for t, e in record.trace.of(BoardPosted) if t <= ended_ns][-LAST_BOARDS:]
    if len(boards) < LAST_BOARDS:
        return unjudged(ODDS_NAME, f"fewer than {LAST_BOARDS} boards", SHELVES)
    splits = [_splits(record, held) for held in _holdings(record, [t for t, _ in boards])]
    stored = np.mean([split.mean(axis=0) for split in splits], axis=0)
    measured = np.mean([event.shares for _, event in boards], axis=0)
    nodes = len(record.facts["servers"]) + len(record.facts["providers"])
    # var π_j = c² Σ_i w_i² (f_ij - π_j)² with w_i = 1 / nodes, as in `odds_noise`, but for the splits that there are.
    noise = proven_error(record) * np.sqrt(((splits[-1] - stored) ** 2).sum(axis=0)) / len(splits[-1])
    moves = sum(1 for t, e in record.trace.of(FileHeld) if e.holds and boards[0][0] - NEWS_S * S < t <= ended_ns)
    late = moves / (nodes * record.params.keep_files) * NEWS_S / LAST_BOARDS
    tolerance = distance_bound(noise) + late
    alike = total_variation(np.full(len(stored), 1 / len(stored)), stored)
    if tolerance >= alike:
        return unjudged(
            ODDS_NAME, f"noise up to {tolerance:.2f} would hide even equal bandwidth for all files", SHELVES
        )
    p = record.facts["popularity"]
    return compare(
        ODDS_NAME,
        predicted=0.0,
        measured=total_variation(measured, stored),
        tolerance=tolerance,
        source=SHELVES,
        note=f"mean of the last {LAST_BOARDS} boards, {total_variation(measured, p):.3f} away from the requests; all files alike "
        f"would be {alike:.3f} away",
    )


@dataclass(frozen=True, slots=True)
class _Rest:
    """Places by file at rest, how many may be elsewhere, how few files may have one, and what would hide a choice."""

    counts: np.ndarray
    farthest: int = 0
    fewest: int = 0
    moving_hides: bool = False
    noise_hides: bool = False


def _rest(record: Record) -> _Rest:
    params, facts = record.params, record.facts
    p: np.ndarray = facts["popularity"]
    servers, room = len(facts["servers"]), params.keep_files
    if params.storage == "popular":  # of equals the first, as p falls by index
        return _Rest(np.where(np.arange(len(p)) < room, servers, 0), fewest=room)
    nodes, places = servers + len(facts["providers"]), servers * room
    share = 1 / (nodes * room)
    others = np.zeros(len(p))
    for repertoire in facts["repertoires"]:
        others[repertoire] = 1 / (nodes * max(1, len(repertoire)))
    worths = place_worths(p, others, share=share, most=servers)
    moving = (params.price_credits + params.fee_credits) / (params.fee_credits * params.horizon_requests * share)
    # The n equal servers of a file have independent errors, so what is known of its odds is 1 / sqrt(n) as uncertain.
    error = np.minimum(HIDDEN * proven_error(record) / np.sqrt(np.arange(1, servers + 1)), 0.99)
    counts = places_at_rest(worths, places)
    alone = rest_bounds(worths, places, slack=moving, error=np.zeros(servers))
    farthest, fewest = rest_bounds(worths, places, slack=moving, error=error)
    # Servers that all store the same files must be seen.
    same = places - int(np.sort(counts)[-room:].sum())
    return _Rest(
        counts,
        farthest,
        fewest,
        moving_hides=_hides(alone, same, room),
        noise_hides=_hides((farthest, fewest), same, room),
    )


def _hides(bounds: tuple[int, int], same: int, room: int) -> bool:
    return bounds[0] >= same or bounds[1] <= room


def _unlike(record: Record) -> str:
    """Say what the user changed that the prediction of stores assumes."""
    params, files = record.params, len(record.facts["popularity"])
    if params.storage == "oldest_first":
        return "storage is oldest_first: nobody looks for anything, stores stay as chance filled them"
    if params.beliefs != "given":
        return f"beliefs are {params.beliefs}: servers hear only of requests for what they store"
    if params.keep_files >= files:
        return f"a store has room for all {files} files: there is nothing to choose"
    return _uneven(record)


def _uneven(record: Record) -> str:
    params = record.params
    if params.policy != "fixed":
        return f"the policy is {params.policy}: bandwidth is split unevenly, so that places differ"
    return "a topology gives nodes links of their own, so that places differ" if params.topology else ""


def _holdings(record: Record, times_ns: list[int]) -> Iterator[dict[bytes, set[int]]]:
    """Yield which files each node served at some times, ascending."""
    held: dict[bytes, set[int]] = {}
    changes = list(record.trace.of(FileHeld))
    place = 0
    for time_ns in times_ns:
        while place < len(changes) and changes[place][0] <= time_ns:
            event = changes[place][1]
            files = held.setdefault(event.node, set())
            (files.add if event.holds else files.discard)(event.index)
            place += 1
        yield held


def _last_counts(record: Record) -> np.ndarray:
    """Return how many servers store each file when the crowd leaves, int64 (files,)."""
    counts = np.zeros(len(record.facts["popularity"]), dtype=np.int64)
    for held in _holdings(record, [_ended_ns(record)]):
        for node in record.facts["servers"]:
            counts[sorted(held.get(node, ()))] += 1
    return counts


def _splits(record: Record, held: dict[bytes, set[int]]) -> np.ndarray:
    """Return f_ij of all that serve when they split evenly over what they hold, float64 (nodes, files)."""
    rows = [(sorted(files), 1 / len(files)) for files in held.values() if files]
    splits = np.zeros((max(1, len(rows)), len(record.facts["popularity"])))
    for row, (files, share) in enumerate(rows):
        splits[row, files] = share
    return splits


def _ended_ns(record: Record) -> int:
    ended = [time_ns for time_ns, _ in record.trace.of(CrowdLeft)]
    return ended[0] if ended else 2**63


def _listed(counts: np.ndarray) -> str:
    return " ".join(map(str, counts.tolist()))
