"""trio: why an account has its balance (blocking, outside a run): every movement and what it was computed from.

Source: DESIGN section 4 (`swarmbed why`); protocol-design 5.3, explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from netem.errors import ConfigError
from tracker.bank.journal import read_journal
from tracker.bank.transactions import HoldMemo, SettleMemo, Transaction, credits_text
from tracker.settlement import split_fee

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Basis:
    """What a leg of a settlement was computed from: a fee, and accepted (or unserved) bytes of all that counted."""

    fee_credits: int
    nbytes: int
    of_bytes: int

    @property
    def share(self) -> float:
        """Return q, the part of the fee, in [0, 1]; 1 for the refund of an empty file."""
        return self.nbytes / self.of_bytes if self.of_bytes else 1.0


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of an account; `balance_credits` (micro-credits) is what it has after.

    `counterparties` are the other accounts of the transaction, and of a settlement also whose fee it was.
    """

    account: str
    seq: int
    time_ns: int
    board: int
    kind: str
    ref: str
    amount_credits: int
    balance_credits: int
    counterparties: tuple[str, ...]
    basis: Basis | None


def why(path: Path, account: str) -> list[Movement]:
    """Return every movement of an account, in order.

    Args:
        path: the journal.
        account: a name such as `user/ab12cd34ef567890` or `mint`, or a start of one (with or without `user/`, `hold/`)
            that fits no other.

    Raises:
        ConfigError: there is no such file, or no account, or more than one.
        LedgerError: the journal is broken or unreadable; what it says is not to be trusted.
    """
    wanted = account.strip().rstrip(".…")
    found: dict[str, list[Movement]] = {}
    payers: dict[str, str] = {}
    names: set[str] = set()
    for seq, entry in enumerate(read_journal(path)):
        transaction = entry.transaction
        if isinstance(transaction.memo, HoldMemo):
            payers[transaction.ref] = transaction.postings[0].account
        for place, leg in enumerate(transaction.postings):
            if leg.account not in found:
                names.add(leg.account)
                if not _fits(leg.account, wanted):
                    continue
            _extend(found.setdefault(leg.account, []), transaction, place=place, seq=seq, payers=payers)
    if wanted in found:
        return found[wanted]
    if len(found) != 1:
        raise ConfigError("ACCOUNT", account, _advice(sorted(found or names), is_ambiguous=bool(found)))
    return next(iter(found.values()))


def render_why(movements: list[Movement]) -> list[str]:
    """Return the movements of one account as lines of text: time, amount and balance after it in credits, and why."""
    if not movements:
        return []
    lines = [movements[0].account]
    for move in movements:
        when = datetime.fromtimestamp(move.time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        amount = f"{credits_text(move.amount_credits):>16} {credits_text(move.balance_credits):>16}"
        lines.append(f"{when} board {move.board:<5} {amount}  {move.kind:<6} {_reason(move)}")
    return lines


def _reason(move: Movement) -> str:
    others = ", ".join(_few(move.counterparties))
    text = f"{move.ref} with {others}"
    if move.basis:
        basis = move.basis
        text += f": {basis.nbytes} of {basis.of_bytes} bytes = {basis.share:.6f} of {credits_text(basis.fee_credits)}"
    return text


def _extend(
    movements: list[Movement], transaction: Transaction, *, place: int, seq: int, payers: dict[str, str]
) -> None:
    leg = transaction.postings[place]
    others = {other.account for other in transaction.postings}
    basis = None
    if isinstance(transaction.memo, SettleMemo):
        others.add(payers.get(transaction.ref, leg.account))
        basis = _basis(transaction.memo, place)
    others.discard(leg.account)
    balance_credits = movements[-1].balance_credits if movements else 0
    movements.append(
        Movement(
            account=leg.account,
            seq=seq,
            time_ns=transaction.time_ns,
            board=transaction.board,
            kind=transaction.kind,
            ref=transaction.ref,
            amount_credits=leg.amount_credits,
            balance_credits=balance_credits + leg.amount_credits,
            counterparties=tuple(sorted(others)),
            basis=basis,
        )
    )


def _basis(memo: SettleMemo, place: int) -> Basis | None:
    """Return what the leg at `place` of a settlement rests on; None for the hold's own leg, the first."""
    if place == 0:
        return None
    totals = dict(memo.totals)
    served_bytes = sum(totals.values())
    of_bytes = max(memo.size_bytes, served_bytes)
    payouts, _ = split_fee(memo.fee_credits, size_bytes=memo.size_bytes, totals=totals)
    paid = [server for server, payout in payouts.items() if payout]
    nbytes = totals[paid[place - 1]] if place <= len(paid) else of_bytes - served_bytes
    return Basis(memo.fee_credits, nbytes, of_bytes)


def _fits(account: str, wanted: str) -> bool:
    return account.startswith(wanted) or account.partition("/")[2].startswith(wanted)


def _few(names: tuple[str, ...] | list[str]) -> list[str]:
    few = list(names[:_MOST_NAMED])
    return few if len(names) <= _MOST_NAMED else [*few, f"{len(names) - _MOST_NAMED} more"]


def _advice(names: list[str], *, is_ambiguous: bool) -> str:
    which = "fits more than one of" if is_ambiguous else "fits none of"
    listed = ", ".join(_few(names)) or "no account at all"
    return f"a start that fits one account (this {which}: {listed}); `why RUN_DIR mint` lists everyone who was endowed"
