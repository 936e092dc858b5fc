"""Pure: claims about repertoires: what providers earn, who may serve, and which files servers come to store.

Source: huberman-wu, section 1 (finite providers) and section 2 (repertoires); scenarios/solvers/places.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from netem.clock import S
from netem.events import Event
from node.events import LicenceBought, PieceAccepted
from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.events import CrowdLeft
from scenarios.market_claims import LAST_BOARDS, proven_error
from scenarios.solvers.places import place_worths, places_at_rest, rest_bounds
from scenarios.theory import distance_bound, total_variation
from tracker.events import BoardPosted, FileHeld

REVENUE = "huberman-wu, section 2: a repertoire at a fixed price per file"
LICENCE = "huberman-wu, section 2: servers serve what providers supplied them with"
REST = "huberman-wu, section 2 (a server's optimal subset), eq. (1): scenarios/solvers/places.py"
SHELVES = "huberman-wu, section 2: π_j is the part of all bandwidth that serves file j; noise: scenarios/theory.py"
PLACES_NAME, FILES_NAME = "places in stores on other files", "files that servers offer"
ODDS_NAME = "odds against what is stored (TV)"
HIDDEN = math.sqrt(2.0)  # standard deviations of each of two worths, so that two of their difference are hidden
NEWS_S = 2.0  # a heartbeat's and a board's second, until the odds show what is stored


class Tried(Event, frozen=True):
    """A node without a licence tried to serve a provider's file, by some way; `reason` is why it was refused, "" if it was not."""

    node: bytes
    index: int
    way: str
    reason: str


def repertoire_claims(record: Record) -> list[Claim]:
    """Judge sales, licences, and what came on offer."""
    return [*revenue_claims(record), *licence_claims(record), *rest_claims(record), odds_claim(record)]


def revenue_claims(record: Record) -> list[Claim]:
    """Claim of each provider that the journal paid it its price times the licences that servers say they bought."""
    bought = [event for _, event in record.trace.of(LicenceBought)]
    found = []
    for number, node in enumerate(record.facts["providers"]):
        sales = len({(e.node, e.index) for e in bought if e.index in record.facts["repertoires"][number]})
        name = f"revenue of provider {number} (µcr)"
        revenue_credits = record.facts["sales"].get(node)
        if not sales or revenue_credits is None:
            found.append(unjudged(name, "nothing was sold, or the journal not read", REVENUE))
            continue
        claim = compare(
            name,
            predicted=sales * record.params.price_credits,
            measured=revenue_credits,
            tolerance=0,
            source=REVENUE,
            note=f"{sales} licences by the servers' own books; measured is the journal's",
        )
        found.append(claim)
    return found


def licence_claims(record: Record) -> list[Claim]:
    """Claim that nobody held or served a provider's file without a licence, and that each try was refused."""
    tries = [event for _, event in record.trace.of(Tried)]
    refused = sum(event.reason == "no-licence" for event in tries)
    licensed = {(event.node, event.index) for _, event in record.trace.of(LicenceBought)}
    for number, node in enumerate(record.facts["providers"]):
        licensed |= {(node, index) for index in record.facts["repertoires"][number]}
    held = {(event.node, event.index) for _, event in record.trace.of(FileHeld) if event.holds}
    served = {(server, e.index) for _, e in record.trace.of(PieceAccepted) for server, _ in e.sources}
    trespasses = len((held | served) - licensed)
    return [
        Claim(
            name="tries to serve without a licence, refused",
            predicted=len(tries),
            measured=refused,
            tolerance=0,
            ok=bool(tries) and refused == len(tries),
            source=LICENCE,
            detectable=1,
            note="" if tries else "nobody tried: too little data",
        ),
        Claim(
            name="files held or served without a licence",
            predicted=0,
            measured=trespasses,
            tolerance=0,
            ok=bool(served) and not trespasses,
            source=LICENCE,
            detectable=1,
            note=f"of {len(held | served)} files on servers",
        ),
    ]


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
    predicted, farthest, fewest = _rest(record)
    return [
        compare(
            PLACES_NAME,
            predicted=0,
            measured=int(np.abs(counts - predicted).sum()) // 2,
            tolerance=farthest,
            source=REST,
            note=f"places by file: {_listed(predicted)} predicted, {_listed(counts)} of {places} measured",
        )
        if farthest < places - int(predicted.max())
        else unjudged(PLACES_NAME, "what moving costs, and noise, would hide any choice", REST),
        compare(
            FILES_NAME,
            predicted=int(np.count_nonzero(predicted)),
            measured=int(np.count_nonzero(counts)),
            tolerance=int(np.count_nonzero(predicted)) - fewest,
            source=REST,
            note=f"of {len(counts)}; servers that store what is popular would offer {min(params.keep_files, len(counts))}",
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


def _rest(record: Record) -> tuple[np.ndarray, int, int]:
    """Return the places by file at rest, how many may be elsewhere, and how few files may have one."""
    params, facts = record.params, record.facts
    p: np.ndarray = facts["popularity"]
    servers, places = len(facts["servers"]), len(facts["servers"]) * params.keep_files
    if params.storage == "popular":
        counts = np.where(np.arange(len(p)) < params.keep_files, servers, 0)  # of equals the first, as p falls by index
        return counts, 0, params.keep_files
    nodes = servers + len(facts["providers"])
    share = 1 / (nodes * params.keep_files)
    others = np.zeros(len(p))
    for repertoire in facts["repertoires"]:
        others[repertoire] = 1 / (nodes * max(1, len(repertoire)))
    worths = place_worths(p, others, share=share, most=servers)
    moving = (params.price_credits + params.fee_credits) / (params.fee_credits * params.horizon_requests * share)
    # The n equal servers of a file have independent errors, so what is known of its odds is 1 / sqrt(n) as uncertain.
    error = HIDDEN * proven_error(record) / np.sqrt(np.arange(1, servers + 1))
    return places_at_rest(worths, places), *rest_bounds(worths, places, slack=moving, error=np.minimum(error, 0.99))


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
