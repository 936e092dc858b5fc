"""Pure: balances as a fold of the journal, and the rules that say which transaction may be next.

`admit` decides and changes nothing; `post` folds an admitted transaction in. `fork` gives a second ledger that may run
ahead of the durable one while a batch is being written.

Source: DESIGN section 4, the bank; protocol-design 5.3, ledger.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from netem.errors import Rejection
from tracker.bank.transactions import (
    HOLD,
    MINT,
    USER,
    HoldMemo,
    MintMemo,
    SettleMemo,
    TariffMemo,
    Transaction,
    encode,
    settle_postings,
    terms,
)

GENESIS = bytes(32)
"""The head of an empty journal."""

_DOWNLOAD = re.compile("[0-9a-f]{32}")


def link(head: bytes, body: bytes) -> bytes:
    """Return the head (32 bytes) after one more transaction: BLAKE2b-256 over the head before and its bytes."""
    return hashlib.blake2b(head + body, digest_size=32, person=b"swarmbed-chain").digest()


class Entry(NamedTuple):
    """A transaction in its place in the journal: canonical bytes, the head after it, and its `terms`."""

    transaction: Transaction
    body: bytes
    head: bytes
    terms: bytes


class OpenHold(NamedTuple):
    """A fee that is set aside."""

    download: bytes
    account: str
    fee_credits: int
    expires_ns: int


class Ledger:
    """The state that a journal amounts to.

    Attributes:
        head: the chain's head, 32 bytes; `count`: transactions posted.
        board, time_ns: those of the newest transaction (-1 and 0 before the first).
        fee_credits: the tariff in force, None before the first.

    Invariants: balances sum to zero; none is below zero but the mint's; a hold account has the fee while its download
    is open, and nothing after.
    """

    def __init__(self) -> None:
        self.head = GENESIS
        self.count = 0
        self.board = -1
        self.time_ns = 0
        self.fee_credits: int | None = None
        self._balances: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._holds: dict[str, OpenHold] = {}
        self._settled: set[str] = set()
        self._terms: dict[bytes, bytes] = {}

    def fork(self) -> Ledger:
        """Return an independent copy."""
        copy = Ledger()
        copy.__dict__.update(self.__dict__)
        copy._balances = self._balances.copy()
        copy._held = self._held.copy()
        copy._holds = self._holds.copy()
        copy._settled = self._settled.copy()
        copy._terms = self._terms.copy()
        return copy

    def balance(self, account: str) -> int:
        """Return what is free in an account, micro-credits; 0 for one never used."""
        return self._balances.get(account, 0)

    def held(self, account: str) -> int:
        """Return what is set aside from a user account for its open downloads, micro-credits."""
        return self._held.get(account, 0)

    def balances(self) -> dict[str, int]:
        """Return the balances of all accounts but those of settled downloads, in order of account."""
        return dict(sorted(self._balances.items()))

    def open_hold(self, download: bytes) -> OpenHold | None:
        """Return a download's hold while it is open."""
        return self._holds.get(download.hex())

    def open_holds(self) -> list[OpenHold]:
        """Return all open holds, the first to expire first."""
        return sorted(self._holds.values(), key=lambda hold: (hold.expires_ns, hold.download))

    def admit(self, transaction: Transaction) -> Entry | None:
        """Return a transaction's place as the next one, or None if it was applied before; changes nothing.

        Raises:
            Rejection: as `check` says.
        """
        digest = terms(transaction)
        if not self.check(transaction, digest):
            return None
        body = encode(transaction)
        return Entry(transaction, body, link(self.head, body), digest)

    def check(self, transaction: Transaction, digest: bytes) -> bool:
        """Say whether a transaction with this digest of its `terms` may be next; False if it was applied before.

        Raises:
            Rejection: `id-reused` (this id did something else), `out-of-order` (board or time steps back),
                `unbalanced`, `malformed` (postings that its kind does not have), `insufficient`, `no-tariff`,
                `wrong-fee`, `expired`, `unknown-hold`, `already-settled` (a different settlement: equivocation).
        """
        applied = self._terms.get(transaction.id)
        if applied is not None:
            if applied == digest:
                return False
            settles = isinstance(transaction.memo, SettleMemo)
            raise Rejection("already-settled" if settles else "id-reused", transaction.ref)
        if transaction.time_ns < self.time_ns or transaction.board < self.board:
            raise Rejection("out-of-order", f"board {transaction.board} at {transaction.time_ns} ns")
        if sum([leg.amount_credits for leg in transaction.postings]):
            raise Rejection("unbalanced", transaction.ref)
        self._check_kind(transaction)
        return True

    def post(self, entry: Entry) -> None:
        """Fold in the entry that `admit` returned in this very state."""
        transaction = entry.transaction
        memo = transaction.memo
        balances = self._balances
        for leg in transaction.postings:
            balances[leg.account] = balances.get(leg.account, 0) + leg.amount_credits
        if isinstance(memo, TariffMemo):
            self.fee_credits = memo.fee_credits
        elif isinstance(memo, HoldMemo):
            account, fee_credits = transaction.postings[0].account, transaction.postings[1].amount_credits
            download = bytes.fromhex(transaction.ref)
            self._holds[transaction.ref] = OpenHold(download, account, fee_credits, memo.expires_ns)
            self._held[account] = self._held.get(account, 0) + fee_credits
        elif isinstance(memo, SettleMemo):
            hold = self._holds.pop(transaction.ref)
            del balances[HOLD + transaction.ref]  # empty for ever: half a journal's accounts would be such
            self._held[hold.account] -= hold.fee_credits
            self._settled.add(transaction.ref)
        self._terms[transaction.id] = entry.terms
        self.board, self.time_ns = transaction.board, transaction.time_ns
        self.head = entry.head
        self.count += 1

    def _check_kind(self, transaction: Transaction) -> None:
        memo = transaction.memo
        if isinstance(memo, SettleMemo):
            self._check_settle(transaction, memo)
        elif isinstance(memo, HoldMemo):
            self._check_hold(transaction, memo)
        elif isinstance(memo, MintMemo):
            self._check_mint(transaction)
        else:
            self._check_tariff(transaction)

    def _check_tariff(self, transaction: Transaction) -> None:
        if transaction.postings:
            raise Rejection("malformed", "a tariff moves nothing")
        if transaction.board == self.board:
            raise Rejection("out-of-order", "a tariff is the first transaction of its board")

    def _check_mint(self, transaction: Transaction) -> None:
        legs = transaction.postings
        if len(legs) != 2 or legs[0].account != MINT or not legs[1].account.startswith(USER):
            raise Rejection("malformed", "a mint goes from the mint to one user account")
        if legs[1].amount_credits <= 0:
            raise Rejection("malformed", "a mint brings credits")

    def _check_hold(self, transaction: Transaction, memo: HoldMemo) -> None:
        legs = transaction.postings
        ref = transaction.ref
        if len(legs) != 2 or not legs[0].account.startswith(USER) or legs[1].account != HOLD + ref:
            raise Rejection("malformed", "a hold goes from one user account to the download's")
        if not _DOWNLOAD.fullmatch(ref):
            raise Rejection("malformed", "the ref of a hold is the hex of a download id")
        if self.fee_credits is None:
            raise Rejection("no-tariff", ref)
        if legs[1].amount_credits != self.fee_credits:
            raise Rejection("wrong-fee", f"{legs[1].amount_credits}, the tariff is {self.fee_credits}")
        if memo.expires_ns <= transaction.time_ns:
            raise Rejection("expired", ref)
        if ref in self._holds or ref in self._settled:
            raise Rejection("id-reused", ref)
        if self.balance(legs[0].account) < self.fee_credits:
            raise Rejection("insufficient", f"{self.balance(legs[0].account)} of {self.fee_credits} micro-credits")

    def _check_settle(self, transaction: Transaction, memo: SettleMemo) -> None:
        ref = transaction.ref
        hold = self._holds.get(ref)
        if hold is None:
            raise Rejection("already-settled" if ref in self._settled else "unknown-hold", ref)
        if memo.fee_credits != hold.fee_credits:
            raise Rejection("wrong-fee", f"{memo.fee_credits}, {hold.fee_credits} are held")
        if transaction.postings != settle_postings(ref, hold.account, memo=memo):
            raise Rejection("malformed", "payouts or refund disagree with the accepted bytes")
