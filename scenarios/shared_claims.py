"""Pure: the claims of every scenario that moves files over the lossy market: bytes, money, network.

Source: DESIGN sections 3 to 5; huberman-wu, section 2 (payment by delivered fraction).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from netem.certificate import Quantity
from node.events import DownloadFinished, DownloadStarted, PieceAccepted
from scenarios.claims import Claim, Record
from tracker.events import DownloadSettled, FeeHeld, FilePublished
from tracker.settlement import split_fee

if TYPE_CHECKING:
    from scenarios.content import Shared


def shared_claims(record: Record) -> list[Claim]:
    """Judge what must hold whatever the scenario's question: file contents, money, loss and delay."""
    return [
        byte_identical(record),
        fees_conserved(record),
        payouts_match_trace(record),
        *network_claims(record),
    ]


def network_claims(record: Record) -> list[Claim]:
    """Claim that the network lost and delayed what it was told to."""
    return [
        _network("datagram loss, realised", record.certificate.loss, "netem-semantics 2.4 and 2.6"),
        _network("one-way delay, realised (s)", record.certificate.delay_s, "netem-semantics 2.2"),
    ]


def byte_identical(record: Record) -> Claim:
    """Claim that every finished download is, read back from disk, the published file to the byte."""
    published = {event.index: event.name for _, event in record.trace.of(FilePublished)}
    sources: dict[str, Shared] = {file.name: file for file in record.facts["files"]}
    expected: dict[int, bytes | None] = {}
    finished = record.trace.of(DownloadFinished)
    same = 0
    for _, event in finished:
        if event.index not in expected:
            expected[event.index] = _digest(sources[published[event.index]])
        same += event.sha256 == expected[event.index]
    gone = [published[index] for index, digest in sorted(expected.items()) if digest is None]
    return Claim(
        name="files identical to their source",
        predicted=len(finished),
        measured=same,
        tolerance=0,
        ok=bool(finished) and same == len(finished),
        source="DESIGN section 4: every piece is verified before it is kept",
        detectable=1,
        note=f"no longer to be read: {', '.join(map(repr, gone))}"
        if gone
        else ""
        if finished
        else "no download finished, so there was nothing to compare",
    )


def _digest(source: Shared) -> bytes | None:
    """Return a file's SHA-256; None: it can be read no more."""
    try:
        return hashlib.sha256(source.path.read_bytes()).digest()
    except OSError:
        return None


def fees_conserved(record: Record) -> Claim:
    """Claim that payouts and refunds add up to the fees, each download settled once, and the journal balances."""
    fees = sum(event.fee_credits for _, event in record.trace.of(FeeHeld))
    settled = [event for _, event in record.trace.of(DownloadSettled)]
    paid = sum(event.refund_credits + sum(paid for _, paid in event.payouts) for event in settled)
    once = len({event.download for event in settled}) == len(settled) == len(record.trace.of(FeeHeld))
    broken = [name for name, holds in record.ledger_ok.items() if not holds]
    return Claim(
        name="payouts + refunds = fees (µcr)",
        predicted=fees,
        measured=paid,
        tolerance=0,
        ok=bool(settled) and fees == paid and once and not broken,
        source="DESIGN section 4; invariants I1, I5, I7",
        detectable=1,
        note=f"broken: {', '.join(broken)}"
        if broken
        else "a download was not settled exactly once"
        if not once
        else "",
    )


def payouts_match_trace(record: Record, *, downloaders: Container[bytes] | None = None) -> Claim:
    """Claim that each settlement is what the pieces accepted in the trace come to, not only the receipts.

    With `downloaders`, only their downloads are judged: others do not tell the trace what they accepted.
    """
    accepted: defaultdict[bytes, defaultdict[bytes, int]] = defaultdict(lambda: defaultdict(int))
    for _, event in record.trace.of(PieceAccepted):
        for server, nbytes in event.sources:
            accepted[event.download][server] += nbytes
    sizes = {event.index: event.size_bytes for _, event in record.trace.of(FilePublished)}
    fees = {event.download: event for _, event in record.trace.of(FeeHeld)}
    settled = [
        event
        for _, event in record.trace.of(DownloadSettled)
        if downloaders is None or fees[event.download].downloader in downloaders
    ]
    worst = 0
    for done in settled:
        held = fees[done.download]
        payouts, refund = split_fee(held.fee_credits, size_bytes=sizes[held.index], totals=accepted[done.download])
        paid = dict(done.payouts)
        servers: Sequence[bytes] = sorted(payouts.keys() | paid.keys())
        worst = max([worst, abs(refund - done.refund_credits)])
        worst = max([worst, *(abs(payouts.get(server, 0) - paid.get(server, 0)) for server in servers)])
    return Claim(
        name="payouts against pieces, gap (µcr)",
        predicted=0,
        measured=worst if settled else None,
        tolerance=0,
        ok=bool(settled) and worst == 0,
        source="huberman-wu, eq. (1), on delivered fractions",
        detectable=1,
        note=f"{len(record.trace.of(DownloadStarted))} downloads, {len(settled)} settled",
    )


def _network(name: str, quantity: Quantity, source: str) -> Claim:
    return Claim(
        name=name,
        predicted=quantity.configured,
        measured=quantity.realised,
        tolerance=quantity.tolerance or 0.0,
        ok=quantity.ok,
        source=source,
        detectable=quantity.tolerance,
        note="over all links; the per-link verdict is in the fidelity certificate",
    )
