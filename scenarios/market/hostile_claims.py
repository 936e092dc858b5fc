"""Pure: the claims of a market under attack: what the honest kept, what each attacker gained, what it made others keep.

Source: DESIGN section 4; the bounds of `node/tabs.py`, `tracker/doors.py` and `tracker/odds.py`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from netem.clock import S
from netem.framing import LENGTH_BYTES
from node.events import PieceAccepted, ServerBanned
from node.tabs import FORGIVEN_BYTES_PER_S, MOST_OWED_BYTES, PAID_PER_RECEIPTED
from scenarios.claims import Claim, Record
from scenarios.shared_claims import byte_identical, fees_conserved, network_claims, payouts_match_trace
from tracker.events import DownloadSettled, FeeHeld, FilePublished, FramesDropped
from tracker.limits import JOIN_BYTES, JOIN_S, STRANGERS
from tracker.messages import BLOCK_BYTES, PIECE_BYTES
from tracker.odds import LEAST_BUSY
from tracker.settlement import split_fee

LEAST_RATIO = 0.8  # of the goodput without an attack
MOST_ERROR = 0.05  # a ratio known less well says nothing about that
QUEUED_BLOCKS = 512  # of one download, by `UploadQueues`
OVERRATED = 1.1  # a proven rate this far above the upload is no accident
UNPAID_NAME = "bytes from a server that an attacker did not pay for"
GOODPUT_NAME = "honest goodput, under attack / before"
GAIN = "DESIGN section 4: payouts are what the honest accepted"


def judge(record: Record, *, phases: Mapping[str, int]) -> list[Claim]:
    """Judge a run whose phases `calm`, `attack` and `over` began at these times (ns)."""
    honest = frozenset(record.facts["honest"])
    return [
        byte_identical(record),
        fees_conserved(record),
        payouts_match_trace(record, downloaders=honest),
        *network_claims(record),
        goodput_claim(record, phases),
        *role_claims(record),
        at_most(
            "honest servers banned",
            0,
            measured=len(_bans(record).keys() & honest),
            source="ARCHITECTURE, blame is certain",
        ),
        *_bounds(record, phases),
    ]


def goodput_claim(record: Record, phases: Mapping[str, int]) -> Claim:
    """Claim that the honest keep at least 80 % of the bytes per second that they had from each other before the attack.

    Bytes are accepted in pieces. At the ends of a phase each of n fetchers has a part, uniform in [0, 1], of a piece of L
    bytes under way, so that the bytes counted in a phase have a standard deviation of at most L sqrt(n / 6).
    """
    honest, servers = frozenset(record.facts["honest"]), frozenset(record.facts["servers"])
    counted: Counter[str] = Counter()
    for now_ns, event in record.trace.of(PieceAccepted):
        if event.node in honest and (phase := _phase(now_ns, phases)):
            counted[phase] += sum(nbytes for server, nbytes in event.sources if server in servers)
    ratio, error = None, math.inf
    if counted["calm"] and counted["attack"] and "over" in phases:
        calm_s, attack_s = (phases[end] - phases[start] for start, end in (("calm", "attack"), ("attack", "over")))
        ratio = (counted["attack"] / attack_s) / (counted["calm"] / calm_s)
        deviation = PIECE_BYTES * math.sqrt((len(honest) - len(servers)) / 6)
        error = math.hypot(deviation / counted["calm"], deviation / counted["attack"])
    judged = ratio is not None and error <= MOST_ERROR
    return Claim(
        name=GOODPUT_NAME,
        predicted=1.0,
        measured=ratio,
        tolerance=1 - LEAST_RATIO,
        ok=judged and ratio is not None and ratio >= LEAST_RATIO,
        source="node/tabs.py: what is served on credit is bounded; all else costs the honest no upload",
        detectable=1 - LEAST_RATIO + 2 * error if judged else None,
        note=f"one-sided; standard error {error:.3f}" if judged else f"standard error {error:.3f}: too little data",
    )


def _phase(now_ns: int, phases: Mapping[str, int]) -> str:
    """Return the phase of a time, or nothing before the first and after the last."""
    begun = [(start_ns, name) for name, start_ns in phases.items() if start_ns <= now_ns]
    name = max(begun)[1] if begun else ""
    return "" if name == "over" else name


def role_claims(record: Record) -> list[Claim]:
    """Claim of every role that was played what `_role_claim` says."""
    return [_role_claim(record, name) for name in sorted(record.facts["symptoms"])]


def _role_claim(record: Record, name: str) -> Claim:
    """Claim that a role was really played and noticed, and gained no credit beyond what it delivered."""
    nodes = [node for node, role in record.facts["attackers"].items() if role == name]
    done, seen = record.facts["done"][name], _seen(record, name, nodes)
    gains = _gains(record)
    gain_credits = max(gains[node] for node in nodes)
    told = ", ".join(f"{n} {what}" for what, n in sorted(done.items()))
    carried_out = bool(done) and seen > 0
    return Claim(
        name=f"{name}: credits beyond its deliveries (µcr)",
        predicted=0,
        measured=gain_credits,
        tolerance=0,
        ok=carried_out and gain_credits <= 0,
        source=GAIN,
        detectable=1,
        note=f"at most; {told or 'nothing was done'}; noticed {seen} times ({record.facts['symptoms'][name]})"
        + ("" if carried_out else ": too little data"),
    )


def _seen(record: Record, name: str, nodes: Sequence[bytes]) -> int:
    symptom = record.facts["symptoms"][name]
    if symptom == "banned":
        bans = _bans(record)
        return sum(bans[node] for node in nodes)
    if symptom == "late":
        return sum(sizes["late"] for sample in record.facts["samples"] for sizes in sample["nodes"])
    if symptom == "overrated":
        return sum(sample["proven"][node] > OVERRATED for sample in record.facts["samples"] for node in nodes)
    return sum(dict(event.kinds).get(symptom, 0) for _, event in record.trace.of(FramesDropped))


def _bans(record: Record) -> Counter[bytes]:
    return Counter(event.server for _, event in record.trace.of(ServerBanned))


def _gains(record: Record) -> Counter[bytes]:
    """Return, by node, what its account gained beyond its part in what honest nodes accepted (micro-credits)."""
    honest = frozenset(record.facts["honest"])
    sizes = {event.index: event.size_bytes for _, event in record.trace.of(FilePublished)}
    fees = {event.download: event for _, event in record.trace.of(FeeHeld)}
    accepted: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
    for _, event in record.trace.of(PieceAccepted):
        accepted[event.download].update(dict(event.sources))
    gains: Counter[bytes] = Counter()
    for _, settled in record.trace.of(DownloadSettled):
        held = fees[settled.download]
        gains[held.downloader] += settled.refund_credits - held.fee_credits
        if held.downloader in honest:  # what attackers pay each other is no gain to them all
            due, _ = split_fee(held.fee_credits, size_bytes=sizes[held.index], totals=accepted[settled.download])
            gains.update(dict(settled.payouts))
            gains.subtract(due)
    return gains


def _bounds(record: Record, phases: Mapping[str, int]) -> Iterator[Claim]:
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
