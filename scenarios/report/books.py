"""trio: what a run's ledger adds up to: credits made, held, paid and refunded. Blocking, outside a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from netem.errors import ConfigError, LedgerError
from tracker.bank.journal import read_journal
from tracker.bank.transactions import HOLD, MINT, USER, SettleMemo, Transaction


@dataclass(slots=True)
class Books:
    """Sums over a journal, in micro-credits.

    Attributes:
        transactions: how many of each kind.
        balances: by account, without those that are empty again.
        minted, held, paid, refunded: credits that entered, were set aside for fees, reached servers, and went back.
        trouble: why the journal could not be read to its end.
    """

    transactions: Counter[str] = field(default_factory=Counter)
    balances: Counter[str] = field(default_factory=Counter)
    minted: int = 0
    held: int = 0
    paid: int = 0
    refunded: int = 0
    trouble: str = ""

    @property
    def users(self) -> list[int]:
        """Return the balances of the nodes, rising."""
        return sorted(balance for account, balance in self.balances.items() if account.startswith(USER))

    def add(self, movement: Transaction) -> None:
        """Take a transaction."""
        self.transactions[movement.kind] += 1
        for leg in movement.postings:
            self.balances[leg.account] += leg.amount_credits
            if leg.account == MINT:
                self.minted -= leg.amount_credits
            elif leg.account.startswith(HOLD) and leg.amount_credits > 0:
                self.held += leg.amount_credits
        if isinstance(movement.memo, SettleMemo):
            servers = {USER + server.hex() for server, _ in movement.memo.totals}
            paid = sum(leg.amount_credits for leg in movement.postings if leg.account in servers)
            self.paid += paid
            self.refunded += movement.memo.fee_credits - paid

    def empty_holds(self) -> None:
        """Forget accounts of downloads that are settled."""
        for account in [name for name, balance in self.balances.items() if not balance and name.startswith(HOLD)]:
            del self.balances[account]


def read_books(path: Path) -> Books:
    """Add up a journal, as far as it can be read."""
    books = Books()
    try:
        for entry in read_journal(path):
            books.add(entry.transaction)
    except (ConfigError, LedgerError) as fault:
        books.trouble = str(fault)
    books.empty_holds()
    return books
