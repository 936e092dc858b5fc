"""trio: the audit of a journal on disk (blocking, outside a run): the chain, the rules, and invariants I1-I8.

Source: DESIGN sections 4 and 6 (`swarmbed audit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tracker.bank.invariants import INVARIANTS, Invariants, Violation
from tracker.bank.journal import BrokenChain, post_checked, read_journal
from tracker.bank.ledger import Ledger
from tracker.bank.transactions import MINT, credits_text

_MOST_VIOLATIONS_SHOWN = 20


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    `count` and `head` (32 bytes) are of the part before `broken`, the first transaction that is missing, changed or
    against the rules. `invariants` is by name, `violations` in the journal's order. `minted_credits` and `held_credits`
    (micro-credits) are what entered the economy and what open downloads hold.
    """

    count: int
    head: bytes
    minted_credits: int
    held_credits: int
    invariants: dict[str, bool]
    violations: list[Violation]
    broken: BrokenChain | None

    @property
    def ok(self) -> bool:
        """Say whether the journal is whole and every invariant holds."""
        return self.broken is None and all(self.invariants.values())


def audit(path: Path) -> AuditReport:
    """Replay a journal and check everything about it; also one whose writer was killed or still runs.

    Raises:
        ConfigError: there is no such file.
        LedgerError: it is no ledger or cannot be read.
    """
    ledger = Ledger()
    invariants = Invariants()
    broken: BrokenChain | None = None
    try:
        for entry in read_journal(path):
            invariants.add(entry.transaction)
            post_checked(ledger, entry)
    except BrokenChain as error:
        broken = error
    return AuditReport(
        count=ledger.count,
        head=ledger.head,
        minted_credits=-ledger.balance(MINT),
        held_credits=sum(hold.fee_credits for hold in ledger.open_holds()),
        invariants=invariants.verdict(ledger),
        violations=invariants.violations,
        broken=broken,
    )


def render_audit(report: AuditReport) -> list[str]:
    """Return a report as lines of text."""
    lines = [
        f"{report.count} transactions, head {report.head.hex()}",
        f"{credits_text(report.minted_credits)} credits minted, {credits_text(report.held_credits)} held",
    ]
    lines += [f"{name} {'holds ' if report.invariants[name] else 'BROKEN'} {text}" for name, text in INVARIANTS.items()]
    shown = report.violations[:_MOST_VIOLATIONS_SHOWN]
    lines += [f"{v.invariant} at transaction {v.seq}: {v.detail}" for v in shown]
    if len(report.violations) > len(shown):
        lines.append(f"and {len(report.violations) - len(shown)} more")
    if report.broken:
        lines.append(f"first broken {report.broken}")
    return lines
