"""Pure: the claims of a market under attack: what the honest kept, and what each attacker gained.

Source: DESIGN section 4; ARCHITECTURE, hostile peers.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from node.events import PieceAccepted, ServerBanned
from scenarios.claims import Claim, Record
from scenarios.market.hostile_bounds import at_most, bound_claims
from scenarios.shared_claims import byte_identical, fees_conserved, network_claims, payouts_match_trace
from tracker.events import DownloadSettled, FeeHeld, FilePublished, FramesDropped
from tracker.messages import PIECE_BYTES
from tracker.settlement import split_fee

LEAST_RATIO = 0.8  # of the goodput without an attack
MOST_ERROR = 0.05  # a ratio known less well says nothing about that
OVERRATED = 1.1  # a proven rate this far above the upload is no accident
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
        *bound_claims(record, phases),
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
