"""Pure: invariants I1-I8 of the bank, checked over a journal without trusting the rules that let it grow.

Source: protocol-design 5.3, invariants; DESIGN section 4, the bank.
"""

from __future__ import annotations

from typing import NamedTuple

from tracker.bank.ledger import Ledger
from tracker.bank.transactions import (
    HOLD,
    MINT,
    USER,
    CloseMemo,
    HoldMemo,
    LicenceMemo,
    OfferMemo,
    Posting,
    SettleMemo,
    TariffMemo,
    Transaction,
    hold_account,
)
from tracker.settlement import split_fee

INVARIANTS = {
    "I1": "the balances sum to zero",
    "I2": "no account is below its floor",
    "I3": "a transaction is applied once, and a licence sold once",
    "I4": "a download settles once",
    "I5": "paid out + refunded = held, and open holds are whole",
    "I6": "replaying the journal gives the live state",
    "I7": "payouts + refund = fee, split by the accepted bytes, of a close none less than it said",
    "I8": "fees are the tariff of their board, licences the price of their file; boards and times never step back",
}


class Violation(NamedTuple):
    """Where an invariant was broken: its name, the transaction's place (from 0), and how."""

    invariant: str
    seq: int
    detail: str


_Fee = tuple[str, int]  # from whom a hold took it, and the amount in micro-credits
_NO_FEE: _Fee = ("", 0)


class Invariants:
    """A fold over transactions in the journal's order; `verdict` closes it.

    Attributes:
        violations: all that were found, in order.
    """

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._count = 0
        self._time_ns = 0
        self._board = -1
        self._fee_credits: int | None = None
        self._balances: dict[str, int] = {}
        self._ids: set[bytes] = set()
        self._held: dict[str, _Fee] = {}
        self._settled: set[str] = set()
        self._closed: dict[str, CloseMemo] = {}
        self._offers: dict[int, OfferMemo] = {}
        self._licensed: set[tuple[int, str]] = set()

    def add(self, transaction: Transaction) -> None:
        """Take the next transaction."""
        self._move(transaction.postings)
        if transaction.id in self._ids:
            self._flag("I3", f"id {transaction.id.hex()} again")
        self._ids.add(transaction.id)
        if transaction.time_ns < self._time_ns or transaction.board < self._board:
            self._flag("I8", "board or time steps back")
        memo = transaction.memo
        if isinstance(memo, HoldMemo):
            self._take_hold(transaction)
        elif isinstance(memo, SettleMemo):
            self._take_settlement(transaction, memo)
        elif isinstance(memo, CloseMemo):
            self._take_close(transaction, memo)
        elif isinstance(memo, OfferMemo):
            self._offers[memo.index] = memo
        elif isinstance(memo, LicenceMemo):
            self._take_licence(transaction, memo)
        elif isinstance(memo, TariffMemo):
            if transaction.board == self._board:
                self._flag("I8", f"a tariff after board {self._board} began")
            self._fee_credits = memo.fee_credits
        self._time_ns, self._board = transaction.time_ns, transaction.board
        self._count += 1

    def verdict(self, live: Ledger) -> dict[str, bool]:
        """Compare with the state that is in use, and return which invariants hold, by name."""
        if sum(self._balances.values()):
            self._flag("I1", f"the sum is {sum(self._balances.values())}")
        for account, balance in sorted(self._balances.items()):
            _, held_credits = self._held.get(account, _NO_FEE)
            if account.startswith(HOLD) and balance != held_credits:
                self._flag("I5", f"{account} has {balance}, held are {held_credits}")
        open_holds = {hold_account(h.download): (h.account, h.fee_credits) for h in live.open_holds()}
        if live.count != self._count or open_holds != self._held or live.balances() != self._balances:
            self._flag("I6", f"{self._count} transactions replayed, the live state has {live.count}")
        broken = {violation.invariant for violation in self.violations}
        return {name: name not in broken for name in INVARIANTS}

    def _flag(self, invariant: str, detail: str) -> None:
        self.violations.append(Violation(invariant, self._count, detail))

    def _move(self, postings: tuple[Posting, ...]) -> None:
        balances = self._balances
        total_credits = 0
        for leg in postings:
            account, amount_credits = leg.account, leg.amount_credits
            total_credits += amount_credits
            balances[account] = balance = balances.get(account, 0) + amount_credits
            if balance < 0 and amount_credits < 0 and account != MINT:
                self._flag("I2", f"{account} falls to {balance}")
        if total_credits:
            self._flag("I1", f"the postings sum to {total_credits}")

    def _take_hold(self, transaction: Transaction) -> None:
        account = HOLD + transaction.ref
        if account in self._held or account in self._settled:
            self._flag("I4", f"{account} is held again")
        held_credits = self._balances.get(account, 0)
        if held_credits != self._fee_credits:
            self._flag("I8", f"{held_credits} held, the tariff is {self._fee_credits}")
        payer = transaction.postings[0].account if transaction.postings else ""
        self._held[account] = (payer, held_credits)

    def _take_licence(self, transaction: Transaction, memo: LicenceMemo) -> None:
        offer = self._offers.get(memo.index)
        buyer = transaction.postings[0].account if transaction.postings else ""
        due = [(buyer, -offer.price_credits), (USER + offer.provider.hex(), offer.price_credits)] if offer else []
        moved = [(leg.account, leg.amount_credits) for leg in transaction.postings]
        if not due or moved != due:
            self._flag("I8", f"moved {moved} for a licence of file {memo.index}, due were {due}")
        if (memo.index, buyer) in self._licensed:
            self._flag("I3", f"{buyer} buys file {memo.index} again")
        self._licensed.add((memo.index, buyer))

    def _take_close(self, transaction: Transaction, memo: CloseMemo) -> None:
        account = HOLD + transaction.ref
        if account not in self._held or account in self._closed:
            self._flag("I4", f"{account} is closed again, or not held")
        self._closed[account] = memo

    def _take_settlement(self, transaction: Transaction, memo: SettleMemo) -> None:
        account = HOLD + transaction.ref
        if account in self._settled:
            self._flag("I4", f"{account} settles again")
        self._settled.add(account)
        payer, held_credits = self._held.pop(account, _NO_FEE)
        if self._balances.get(account):
            self._flag("I5", f"{account} held {held_credits} and is not released whole")
        else:
            self._balances.pop(account, None)
        if memo.fee_credits != held_credits:
            self._flag("I8", f"settled by a fee of {memo.fee_credits}, held were {held_credits}")
        totals = dict(memo.totals)
        payouts, refund_credits = split_fee(memo.fee_credits, size_bytes=memo.size_bytes, totals=totals)
        due = [(account, -memo.fee_credits)]
        due += [(USER + server.hex(), paid) for server, paid in payouts.items() if paid]
        if refund_credits:
            due.append((payer, refund_credits))
        for server, nbytes in self._closed[account].totals if account in self._closed else ():
            if totals.get(server, 0) < nbytes:
                self._flag("I7", f"{server.hex()} closed at {nbytes} bytes and settled at {totals.get(server, 0)}")
        moved = [(leg.account, leg.amount_credits) for leg in transaction.postings]
        if moved != due:
            self._flag("I7", f"moved {moved}, due were {due}")
