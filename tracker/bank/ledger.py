"""Pure: balances as a fold of the journal, and the rules that say which transaction may be next.

`admit` decides and changes nothing; `post` folds an admitted transaction in. `fork` gives a second ledger that may run
ahead of the durable one while a batch is being written.

Source: DESIGN section 4, the bank; protocol-design 5.3, ledger.
"""

from __future__ import annotations

import re

from netem.errors import Rejection
from tracker.bank.entries import GENESIS, Closed, Entry, OpenHold, link
from tracker.bank.licences import Licences
from tracker.bank.movements import settle_postings
from tracker.bank.transactions import (
    HOLD,
    MINT,
    USER,
    CloseMemo,
    FileMemo,
    HoldMemo,
    LicenceMemo,
    MintMemo,
    OfferMemo,
    SettleMemo,
    TariffMemo,
    Transaction,
    encode,
    terms,
)
from tracker.messages import Manifest

_DOWNLOAD = re.compile("[0-9a-f]{32}")
_SAID_BEFORE = {"settle": "already-settled", "close": "equivocation", "offer": "other-terms"}


class Ledger:
    """The state that a journal amounts to.

    Attributes:
        head: the chain's head, 32 bytes; `count`: transactions posted.
        board, time_ns: those of the newest transaction (-1 and 0 before the first).
        fee_credits: the tariff in force, None before the first; `tariffs`: how many there were.
        files: the manifests of the catalogue by index; `closes`: every close there was, in order.
        licences: what providers sell, and whom they sold it.

    Invariants: balances sum to zero; none is below zero but the mint's; a hold account has the fee while its download
    is open, and nothing after.
    """

    def __init__(self) -> None:
        self.head = GENESIS
        self.count = 0
        self.board = -1
        self.time_ns = 0
        self.fee_credits: int | None = None
        self.tariffs = 0
        self.files: list[Manifest] = []
        self.closes: dict[str, Closed] = {}
        self.licences = Licences()
        self._balances: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._holds: dict[str, OpenHold] = {}
        self._settled: set[str] = set()
        self._terms: dict[bytes, bytes] = {}

    def fork(self) -> Ledger:
        """Return an independent copy."""
        copy = Ledger()
        copy.__dict__.update(self.__dict__)
        copy.files = self.files.copy()
        copy.closes = self.closes.copy()
        copy.licences = self.licences.copy()
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

    def knows(self, transaction_id: bytes) -> bool:
        """Say whether a transaction of this id was posted."""
        return transaction_id in self._terms

    def users(self) -> list[bytes]:
        """Return the nodes that have an account, sorted by id."""
        return sorted(
            bytes.fromhex(account.removeprefix(USER)) for account in self._balances if account.startswith(USER)
        )

    def open_hold(self, download: bytes) -> OpenHold | None:
        """Return a download's hold while it is open."""
        return self._holds.get(download.hex())

    def open_holds(self) -> list[OpenHold]:
        """Return all open holds, the first to expire first."""
        return sorted(self._holds.values(), key=lambda hold: (hold.terms.expires_ns, hold.download))

    def admit(self, transaction: Transaction) -> Entry | None:
        """Return a transaction's place as the next one, or None if it was applied before; changes nothing.

        Raises:
            Rejection: as `check` says.
        """
        body = encode(transaction)
        digest = terms(body)
        if not self.check(transaction, digest):
            return None
        return Entry(transaction, body, link(self.head, body), digest)

    def check(self, transaction: Transaction, digest: bytes) -> bool:
        """Say whether a transaction with this digest of its `terms` may be next; False if it was applied before.

        Raises:
            Rejection: `id-reused` (this id did something else), `out-of-order` (board or time steps back),
                `unbalanced`, `malformed` (postings that its kind does not have), `insufficient`, `no-tariff`,
                `wrong-fee`, `wrong-price`, `not-for-sale`, `other-terms` (the file is there, on other terms), `expired`, `unknown-hold`, `already-settled` (a different settlement), `equivocation` (a
                different close), `below-close` (a settlement for less than the close said).
        """
        applied = self._terms.get(transaction.id)
        if applied is not None:
            if applied == digest:
                return False
            raise Rejection(_SAID_BEFORE.get(transaction.kind, "id-reused"), transaction.ref)
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
        if isinstance(memo, HoldMemo):
            account, fee_credits = transaction.postings[0].account, transaction.postings[1].amount_credits
            self._holds[transaction.ref] = OpenHold(bytes.fromhex(transaction.ref), account, fee_credits, memo)
            self._held[account] = self._held.get(account, 0) + fee_credits
        elif isinstance(memo, SettleMemo):
            hold = self._holds.pop(transaction.ref)
            del balances[HOLD + transaction.ref]  # empty for ever: half a journal's accounts would be such
            self._held[hold.account] -= hold.fee_credits
            self._settled.add(transaction.ref)
        elif isinstance(memo, CloseMemo):
            hold = self._holds[transaction.ref]
            self.closes[transaction.ref] = Closed(hold.download, hold.account, memo.totals, transaction.time_ns)
        elif isinstance(memo, LicenceMemo):
            self.licences.post(transaction, memo)
        elif isinstance(memo, FileMemo):
            self.files.append(memo.manifest)
        elif isinstance(memo, OfferMemo):
            self.files.append(memo.manifest)
            self.licences.offers[memo.index] = memo
        elif isinstance(memo, TariffMemo):
            self.fee_credits = memo.fee_credits
            self.tariffs += 1
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
        elif isinstance(memo, LicenceMemo):
            self.licences.check(transaction, memo, balance=self.balance)
        elif transaction.postings:
            raise Rejection("malformed", f"a {transaction.kind} moves nothing")
        elif isinstance(memo, CloseMemo):
            self._open_hold(transaction.ref)
        elif isinstance(memo, FileMemo | OfferMemo):
            self._check_file(transaction, memo)
        elif transaction.board == self.board:
            raise Rejection("out-of-order", "a tariff is the first transaction of its board")

    def _check_file(self, transaction: Transaction, memo: FileMemo | OfferMemo) -> None:
        if transaction.ref != memo.manifest.root.hex() or memo.index != len(self.files):
            raise Rejection("malformed", f"file {memo.index} of {len(self.files)}, filed under {transaction.ref}")

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
        hold = self._open_hold(ref)
        if memo.fee_credits != hold.fee_credits:
            raise Rejection("wrong-fee", f"{memo.fee_credits}, {hold.fee_credits} are held")
        if transaction.postings != settle_postings(ref, hold.account, memo=memo):
            raise Rejection("malformed", "payouts or refund disagree with the accepted bytes")
        if ref in self.closes:
            totals = dict(memo.totals)
            if any(totals.get(server, 0) < nbytes for server, nbytes in self.closes[ref].totals):
                raise Rejection("below-close", ref)

    def _open_hold(self, ref: str) -> OpenHold:
        hold = self._holds.get(ref)
        if hold is None:
            raise Rejection("already-settled" if ref in self._settled else "unknown-hold", ref)
        return hold
