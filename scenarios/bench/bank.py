"""trio: what the bank's promises cost: durable transfers, verified receipts, an audited journal.

A transfer is one balanced transaction, a hold or its settlement. The baselines are the shortest code that keeps one promise
alone: rows and balances on the disk, a signature, a hash chain; no rules, no history that can be proven, no waiting clients.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from scenarios.bench.bank_work import (
    CLIENTS,
    audit_s,
    chain_s,
    opened_per_s,
    proven_per_s,
    rows_per_s,
    sign_receipts,
    transfers_per_s,
    write_journal,
)
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns

ROUNDS = 15  # downloads of each client
RECEIPTS = 2_000
AUDITED, AUDITED_IN_FULL = 50_000, 1_000_000


class Bank(Bench):
    """The bank against bare SQLite, bare signatures and a bare hash chain."""

    name = "bank"
    goal = (
        "durable transfers/s with 100 clients at least 0.45 times bare SQLite group commit; verified receipts/s at least "
        "0.5 times raw PyNaCl; 10^6 transfers audited within 30 s"
    )

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield transfers per second, receipts per CPU second, and seconds of CPU to audit 10^6 transfers."""
        with TemporaryDirectory() as directory:
            yield self._transfers(Path(directory), effort)
            yield self._receipts(effort)
            yield self._audit(Path(directory), effort)

    def _transfers(self, directory: Path, effort: Effort) -> Figure:
        rounds = effort.of(ROUNDS)
        fresh = (directory / f"{n}.sqlite" for n in range(2 * effort.repetitions))
        subject, baseline = take_turns(
            lambda: trio.run(transfers_per_s, next(fresh), rounds),
            lambda: rows_per_s(next(fresh), 2 * rounds),
            repetitions=effort.repetitions,
        )
        return Figure(
            name=self.name,
            what=f"transfers by {CLIENTS} waiting clients, over bare SQLite: a row and two balances, {CLIENTS} to a commit",
            unit="transfers/s",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=0.45, at_most=False),
            note="wall time, both with WAL and synchronous=FULL: the slower the disk, the nearer to 1",
        )

    def _receipts(self, effort: Effort) -> Figure:
        # A process checks no signature that it made itself or has seen, so they come from another, new ones each time.
        with multiprocessing.get_context("spawn").Pool(1) as other:
            sets = enumerate(other.apply(sign_receipts, (2 * effort.repetitions, effort.of(RECEIPTS))))
        subject, baseline = take_turns(
            lambda: opened_per_s(*next(sets)), lambda: proven_per_s(*next(sets)), repetitions=effort.repetitions
        )
        return Figure(
            name="bank, receipts",
            what="receipts opened by the tracker, over crypto_sign_open of PyNaCl on the same bytes",
            unit="receipts/s of CPU",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=0.5, at_most=False),
        )

    def _audit(self, directory: Path, effort: Effort) -> Figure:
        transfers = AUDITED_IN_FULL if effort.full else effort.of(AUDITED, least=CLIENTS)
        path = directory / "audited.sqlite"
        written = write_journal(path, transfers)
        subject, baseline = take_turns(
            partial(audit_s, path, written), partial(chain_s, path, written), repetitions=effort.repetitions
        )
        return Figure(
            name="bank, audit",
            what="an audit: chain, rules and invariants; over reading the rows and hashing the chain",
            unit="s of CPU for 10^6 transfers",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=30.0, at_most=True, of_subject=True),
            note=f"measured on {transfers:,}" + ("" if effort.full else "; --full measures 10^6"),
        )
