"""Pure: the bank's books: journal, accounts, holds, and that nothing is made or lost.

Source: DESIGN section 4 (the bank; invariants I1-I8).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netem.metric import Family, Panel, Query, counter, gauge
from tracker.bank.transactions import MINT

if TYPE_CHECKING:
    from tracker.bank.bank import Bank

_POSTED, _SUM = "swarmbed_bank_transactions_total", "swarmbed_bank_imbalance_microcredits"
_MINTED, _OWNED = "swarmbed_bank_minted_microcredits_total", "swarmbed_bank_owned_microcredits"


class Books(Family):
    """What is durable in the bank's journal."""

    name = "bank"
    reads = "bank"
    metrics = (
        counter(_POSTED, "Transactions in the journal: its height."),
        gauge("swarmbed_bank_accounts", "Accounts with a balance or a past, those of settled downloads apart."),
        gauge("swarmbed_bank_open_holds", "Downloads whose fee is held."),
        gauge("swarmbed_bank_held_microcredits", "Set aside in open holds."),
        gauge(_SUM, "Sum of all balances; 0 in a bank that neither makes nor loses money."),
        counter(_MINTED, "Credits that entered by a mint."),
        gauge(_OWNED, "Free and held credits of everybody but the mint."),
    )
    panels = (
        Panel(
            dashboard="bank",
            order=0,
            title="Sum of all balances",
            description="Double entry: always 0. Anything else is a void run.",
            unit="short",
            look="stat",
            width=6,
            height=4,
            limit=1.0,
            bad_below=0.0,
            queries=(Query(expr=f"sum({_SUM}{{@}})", legend="sum"),),
        ),
        Panel(
            dashboard="bank",
            order=1,
            title="Journal",
            description="Transactions in the journal so far.",
            unit="short",
            look="stat",
            width=6,
            height=4,
            queries=(Query(expr=f"sum({_POSTED}{{@}})", legend="transactions"),),
        ),
        Panel(
            dashboard="bank",
            order=2,
            title="Accounts",
            description="One a node, the mint's, and one a held fee.",
            unit="short",
            look="stat",
            width=6,
            height=4,
            queries=(Query(expr="sum(swarmbed_bank_accounts{@})", legend="accounts"),),
        ),
        Panel(
            dashboard="bank",
            order=3,
            title="Open holds",
            description="Fees held now: one a download under way, and for two seconds after.",
            unit="short",
            look="stat",
            width=6,
            height=4,
            queries=(Query(expr="sum(swarmbed_bank_open_holds{@})", legend="holds"),),
        ),
        Panel(
            dashboard="bank",
            order=10,
            title="Credits minted and owned",
            description="All that anybody owns, free or held, was minted: the lines lie on each other.",
            unit="short",
            queries=(
                Query(expr=f"sum({_OWNED}{{@}})", legend="owned"),
                Query(expr=f"sum({_MINTED}{{@}})", legend="minted", theory=True),
            ),
        ),
        Panel(
            dashboard="bank",
            order=11,
            title="Transactions",
            description="Transactions made durable per second.",
            unit="ops",
            queries=(Query(expr=f"sum(rate({_POSTED}{{@}}[$__rate_interval]))", legend="transactions"),),
        ),
        Panel(
            dashboard="bank",
            order=20,
            title="Credits held",
            description="Micro-credits in open holds: it falls to 0 when all downloads are settled.",
            unit="short",
            queries=(Query(expr="sum(swarmbed_bank_held_microcredits{@})", legend="held"),),
        ),
    )

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - the ledger has times of its own
        """Read the ledger."""
        bank: Bank | None = self.source
        if bank is None:
            return
        ledger = bank.ledger
        balances, holds = ledger.balances(), ledger.open_holds()
        minted = -balances.get(MINT, 0)
        owned = sum(free for account, free in balances.items() if account != MINT)
        self.set(_POSTED, ledger.count)
        self.set("swarmbed_bank_accounts", len(balances))
        self.set("swarmbed_bank_open_holds", len(holds))
        self.set("swarmbed_bank_held_microcredits", sum(hold.fee_credits for hold in holds))
        self.set(_SUM, owned - minted)
        self.set(_MINTED, minted)
        self.set(_OWNED, owned)
        yield
