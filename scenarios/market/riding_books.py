"""Pure: the accounts of a market with free riders, read from its trace: what every node wanted, got, paid and earned.

Source: huberman-wu, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netem.clock import S
from netem.events import Event
from node.events import PieceAccepted
from scenarios.claims import Record, Trace
from scenarios.market.events import Arrival, CrowdLeft
from tracker.events import DownloadSettled, FeeHeld, FilePublished

CONTRIBUTOR, COPYCAT, FREE_RIDER = "contributor", "copycat", "free_rider"
BROKE = "insufficient"


class MarketOpened(Event, frozen=True):
    """All files are published, and requests begin."""


class Declined(Event, frozen=True):
    """A wish came to nothing: a node got no file, for this reason."""

    node: bytes
    index: int
    reason: str


@dataclass(slots=True)
class Account:
    """One node's, in wishes, files (as sums of delivered fractions) and micro-credits.

    Attributes:
        asked, opened: wishes, and those whose fee was held.
        broke, declined: wishes refused for want of credit, and those that failed for another reason.
        refunds: downloads that gave back part of the fee, since they did not end.
        amounts: payments and payouts; each is within a micro-credit of the exact share.
        earned_squares: Σ of the squares of the payouts.
        under_way_s: how long its fees were held, in all.
    """

    asked: int = 0
    opened: int = 0
    broke: int = 0
    declined: int = 0
    refunds: int = 0
    amounts: int = 0
    paid_credits: int = 0
    earned_credits: int = 0
    earned_squares: int = 0
    fetched_files: float = 0.0
    served_files: float = 0.0
    under_way_s: float = 0.0

    @property
    def net_credits(self) -> int:
        """Return income less fees."""
        return self.earned_credits - self.paid_credits

    @property
    def spoilt(self) -> int:
        """Return how many wishes had another fate than to be served whole or to be too dear: each may change what follows by one."""
        return self.refunds + self.declined + max(0, self.asked - self.opened - self.broke - self.declined)


@dataclass(frozen=True, slots=True)
class Market:
    """A run as its claims see it.

    Attributes:
        accounts: by role.
        asked: λ, the files that a node asks for, on average, in the time that the run really had; 0 if it never began.
        lost: wishes of nodes that lacked no file, so that they asked for none.
        price_credits: of a download.
        most: how many files an endowment pays for; inf if they are free.
        under_way: fees that are held for those who serve, on average over time, for each of them.
    """

    accounts: dict[str, list[Account]]
    asked: float
    lost: int
    price_credits: int
    most: float
    under_way: float


def read_accounts(trace: Trace) -> dict[bytes, Account]:
    """Return the accounts of all nodes that took part."""
    accounts: dict[bytes, Account] = {}

    def of(node: bytes) -> Account:
        return accounts.setdefault(node, Account())

    for _, arrival in trace.of(Arrival):
        if arrival.node:
            of(arrival.node).asked += 1
    for _, declined in trace.of(Declined):
        if declined.reason == BROKE:
            of(declined.node).broke += 1
        else:
            of(declined.node).declined += 1
    sizes = {event.index: event.size_bytes for _, event in trace.of(FilePublished)}
    for _, piece in trace.of(PieceAccepted):
        for server, nbytes in piece.sources:
            of(piece.node).fetched_files += nbytes / sizes[piece.index]
            of(server).served_files += nbytes / sizes[piece.index]
    held = {event.download: (time_ns, event) for time_ns, event in trace.of(FeeHeld)}
    for _, fee in held.values():
        of(fee.downloader).opened += 1
    for time_ns, settled in trace.of(DownloadSettled):
        held_ns, fee = held[settled.download]
        payer = of(fee.downloader)
        payer.under_way_s += (time_ns - held_ns) / S
        payer.paid_credits += fee.fee_credits - settled.refund_credits
        payer.refunds += settled.refund_credits > 0
        payer.amounts += 1
        for server, paid_credits in settled.payouts:
            payee = of(server)
            payee.amounts += 1
            payee.earned_credits += paid_credits
            payee.earned_squares += paid_credits**2
    return accounts


def market_of(record: Record, accounts: Mapping[bytes, Account]) -> Market:
    """Return the run by role; `facts["roles"]` tells each node's."""
    params = record.params
    by_role: dict[str, list[Account]] = {CONTRIBUTOR: [], COPYCAT: [], FREE_RIDER: []}
    for node, role in record.facts.get("roles", {}).items():
        by_role[role].append(accounts.get(node, Account()))
    asked_s = _asked_s(record.trace)
    price_credits = params.price_credits()
    serving = len(by_role[CONTRIBUTOR]) + len(by_role[COPYCAT])
    under_way_s = math.fsum(account.under_way_s for account in accounts.values())
    return Market(
        by_role,
        asked=params.requests_per_node * asked_s / params.duration_s,
        lost=sum(not arrival.node for _, arrival in record.trace.of(Arrival)),
        price_credits=price_credits,
        most=params.endowment_credits // price_credits if price_credits else math.inf,
        under_way=under_way_s / (asked_s * serving) if asked_s else 0.0,
    )


def _asked_s(trace: Trace) -> float:
    """Return for how long nodes asked for files."""
    begun: Sequence[tuple[int, Event]] = trace.of(MarketOpened)
    ended: Sequence[tuple[int, Event]] = trace.of(CrowdLeft) or trace.of(Arrival)[-1:]
    return (ended[0][0] - begun[0][0]) / S if begun and ended else 0.0
