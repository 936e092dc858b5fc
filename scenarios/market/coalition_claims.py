"""Pure: what a coalition gained: by dealing with itself, and by selling more than the honest sell.

Source: huberman-wu, section 2 and eq. (1); DESIGN section 4 (payouts + refund = fee; odds from proven rates).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from scenarios.claims import Claim, Record, unjudged
from scenarios.market.hostile_bounds import at_most
from tracker.events import BoardPosted, DownloadSettled, FeeHeld, FilePublished

DEALING = "credits that the coalition made by paying itself (µcr)"
INCOME = "income of a member that serves / of an honest server"
_CAPACITY = "huberman-wu, eq. (1): pay is for bytes that others accepted, of which it sends at most upload x time"


def dealing_claim(record: Record) -> Claim:
    """Claim that downloads opened by the coalition, second identities too, have brought it no credit."""
    honest = frozenset(record.facts["honest"])
    fees = {event.download: event for _, event in record.trace.of(FeeHeld) if event.downloader not in honest}
    settled = [event for _, event in record.trace.of(DownloadSettled) if event.download in fees]
    paid = sum(fees[event.download].fee_credits - event.refund_credits for event in settled)
    had = sum(amount for event in settled for node, amount in event.payouts if node not in honest)
    note = f"at most; {len(settled):,} downloads, {paid:,} µcr paid, {had:,} of it to itself"
    return at_most(
        DEALING,
        0,
        measured=had - paid if settled else None,
        source="payouts + refund = fee, DESIGN section 4",
        note=note,
    )


def income_claim(record: Record) -> Claim:
    """Claim that members that serve sell at most what their upload can carry, however the odds are bent.

    The bound is upload x duration of the file they hold, at the fee over its size, as a multiple of what an honest server earned
    on average. Both incomes are from honest downloaders only.
    """
    members, servers = record.facts["accomplices"], record.facts["servers"]
    earned = _earned(record)
    honest = sum(earned[node] for node in servers) / len(servers)
    if not honest or not members:
        return unjudged(INCOME, "no honest server earned anything, or no member serves", _CAPACITY)
    sizes = {event.index: event.size_bytes for _, event in record.trace.of(FilePublished)}
    params = record.params
    capacity = params.upload_bytes_per_s * params.duration_s / sizes[0] * params.fee_credits
    ratio = max(earned[node] for node in members) / honest
    return at_most(INCOME, capacity / honest, measured=ratio, source=_CAPACITY, note=f"at most; {_bent(record)}")


def _earned(record: Record) -> Counter[bytes]:
    honest = frozenset(record.facts["honest"])
    buyers: Mapping[bytes, bytes] = {event.download: event.downloader for _, event in record.trace.of(FeeHeld)}
    earned: Counter[bytes] = Counter()
    for _, settled in record.trace.of(DownloadSettled):
        if buyers[settled.download] in honest:
            earned.update(dict(settled.payouts))
    return earned


def _bent(record: Record) -> str:
    """Say how far the odds were bent: the mean odds of the target in the second half, and the members' proven rates."""
    boards = [event.shares[0] for _, event in record.trace.of(BoardPosted) if event.shares]
    late = boards[len(boards) // 2 :]
    rates = [max(sample["proven"].values()) for sample in record.facts["samples"]]
    return (
        f"the target's odds {sum(late) / max(len(late), 1):.2f} for p = {record.facts['popularity'][0]:.2f}, "
        f"a member's proven rate up to {max(rates, default=0):.0f} x its upload"
    )
