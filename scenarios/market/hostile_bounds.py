"""Pure: the bounds on what attackers may owe, seem to be and make others keep, claimed of what was sampled every second.

Source: DESIGN section 4; the bounds of `node/tabs.py`, `tracker/doors.py` and `tracker/odds.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from netem.clock import S
from netem.framing import LENGTH_BYTES
from node.tabs import FORGIVEN_BYTES_PER_S, MOST_OWED_BYTES, PAID_PER_RECEIPTED
from scenarios.claims import Claim, Record
from tracker.events import DownloadSettled, FeeHeld, FilePublished
from tracker.limits import JOIN_BYTES, JOIN_S, STRANGERS
from tracker.messages import BLOCK_BYTES
from tracker.odds import LEAST_BUSY

QUEUED_BLOCKS = 512  # of one download, by its `FileQueue`
UNPAID_NAME = "bytes from a server that an attacker did not pay for"


def bound_claims(record: Record, phases: Mapping[str, int]) -> Iterator[Claim]:
    """Claim the stated bounds on what attackers owe, seem and make others keep, from what was sampled every second."""
    samples = record.facts["samples"]
    attack_s = (phases.get("over", 0) - phases.get("attack", 0)) / S
    opened = sum(
        n for done in record.facts["done"].values() for what, n in done.items() if "frames" in what or "conn" in what
    )
    # Beside the attackers' there may be a join of every node: it takes a moment.
    waiting = min(STRANGERS, round(opened / max(attack_s, 1) * (JOIN_S + 1)) + _nodes(record))
    doors = [sample["tracker"] for sample in samples]
    yield unpaid_claim(record, attack_s=attack_s)
    yield at_most(
        "an attacker's proven rate / its upload",
        1 / LEAST_BUSY,
        measured=_most(_unaided(sample) for sample in samples),
        source="ARCHITECTURE, busy time; who vouches for itself by a second identity is not bounded",
    )
    yield at_most(
        "boards believed beyond those posted",
        0,
        measured=_most(sample["board_ahead"] for sample in samples),
        source="odds are signed",
    )
    yield at_most(
        "connections without a join",
        waiting,
        measured=_most(door["strangers"] for door in doors),
        source="tracker/limits.py",
    )
    yield at_most(
        "bytes kept for them",
        waiting * (LENGTH_BYTES + JOIN_BYTES),
        measured=_most(door["strangers_bytes"] for door in doors),
        source="tracker/limits.py",
    )
    yield at_most(
        "tables beyond their bounds",
        0,
        measured=_most(_too_large(record, sample) for sample in samples),
        source="memory is flat",
    )


def unpaid_claim(record: Record, *, attack_s: float) -> Claim:
    """Claim that no server sent an attacker more for nothing, in an attack of so many seconds, than its tab allows."""
    # Worthless receipts are found out within two heartbeats.
    free_bytes = MOST_OWED_BYTES + BLOCK_BYTES + FORGIVEN_BYTES_PER_S * attack_s + 2 * record.params.upload_bytes_per_s
    return at_most(UNPAID_NAME, free_bytes, measured=_unpaid_bytes(record), source="node/tabs.py")


def _unaided(sample: Mapping[str, Any]) -> float:
    """Return the largest proven rate, as a share of the upload, of an attacker that nobody vouches for without cause."""
    rates = [rate for node, rate in sample["proven"].items() if node not in sample["colluders"]]
    return max(rates, default=0.0)


def _unpaid_bytes(record: Record) -> float | None:
    """Return the most that a server sent to an attacker beyond what settlements paid it for.

    As much again as was paid for may be lost on the way: that much is no gain.
    """
    attackers = record.facts["attackers"]
    sizes = {event.index: event.size_bytes for _, event in record.trace.of(FilePublished)}
    fees = {event.download: event for _, event in record.trace.of(FeeHeld)}
    paid: Counter[tuple[bytes, bytes]] = Counter()
    for _, settled in record.trace.of(DownloadSettled):
        held = fees[settled.download]
        for server, paid_credits in settled.payouts:
            paid[server, held.downloader] += paid_credits * sizes[held.index] // held.fee_credits
    return _most(
        served.get(node, 0) - PAID_PER_RECEIPTED * paid[server, node]
        for server, served in record.facts.get("served_bytes", {}).items()
        for node in attackers
    )


def _too_large(record: Record, sample: Mapping[str, Any]) -> int:
    """Return how many tables have more entries than there are nodes and open downloads to have them for."""
    nodes = _nodes(record) + len(sample["colluders"])  # each of which has a second identity
    orders = len(record.trace.of(FeeHeld))
    tables = [(sample["tracker"]["connections"], nodes), (sample["tracker"]["budgets"], nodes)]
    for sizes in sample["nodes"]:
        tables += [(sizes["sessions"], nodes), (sizes["tabs"], nodes), (sizes["customers"], orders)]
        tables += [(sizes["blocks"], QUEUED_BLOCKS * sizes["customers"])]
    return sum(entries > most for entries, most in tables)


def _nodes(record: Record) -> int:
    return len(record.facts["honest"]) + len(record.facts["attackers"])


def _most(values: Iterable[float]) -> float | None:
    return max(values, default=None)


def at_most(name: str, bound: float, *, measured: float | None, source: str, note: str = "at most") -> Claim:
    """Make a claim that a quantity stays within a bound; without a measurement it fails."""
    return Claim(
        name=name,
        predicted=bound,
        measured=measured,
        tolerance=0,
        ok=measured is not None and measured <= bound,
        source=source,
        note=note if measured is not None else "nothing was sampled: too little data",
    )
