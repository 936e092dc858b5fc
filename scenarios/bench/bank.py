"""trio: what the bank's promises cost: durable transfers, verified receipts, an audited journal.

A transfer is one balanced transaction, a hold or its settlement. The baselines are the shortest code that keeps one promise
alone: rows and balances on the disk, a signature, a hash chain; no rules, no history that can be proven, no waiting clients.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import nacl.bindings
import trio

from netem.randomness import keyed_bytes
from netem.real_time import RealTime
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns
from tracker.bank.audit import audit
from tracker.bank.bank import Bank as DurableBank
from tracker.bank.journal import Journal
from tracker.bank.ledger import GENESIS, Entry, Ledger
from tracker.bank.transactions import Transaction, hold, mint, settle, tariff, user_account
from tracker.identity import SIGNATURE_BYTES, Identity
from tracker.messages import Join, Receipt
from tracker.sessions import Sessions
from tracker.wire import encode_signed

CLIENTS = 100
ROUNDS = 15  # downloads of each client
RECEIPTS = 2_000
AUDITED, AUDITED_IN_FULL = 50_000, 1_000_000
FEE_CREDITS, PIECE_BYTES = 1_000_000, 262_144
SERVERS = [keyed_bytes(1, "bench", "server", n, size=8) for n in range(3)]
ROW_BYTES = 160  # about the mean of the bank's own
_BATCH = 5_000
_TABLES = """
CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;
CREATE TABLE transfer (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;
"""


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
            lambda: trio.run(_transfers_per_s, next(fresh), rounds),
            lambda: _rows_per_s(next(fresh), 2 * rounds),
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
        # A signature seen before is not checked again, so every repetition has receipts of its own.
        count = effort.of(RECEIPTS)
        numbers = iter(range(2 * effort.repetitions))
        subject, baseline = take_turns(
            lambda: _opened_per_s(next(numbers), count),
            lambda: _proven_per_s(next(numbers), count),
            repetitions=effort.repetitions,
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
            partial(_audit_s, path, written), partial(_chain_s, path, written), repetitions=effort.repetitions
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


async def _transfers_per_s(path: Path, rounds: int) -> float:
    clock = RealTime()
    bank = DurableBank(path, clock)
    accounts = [user_account(keyed_bytes(1, "bench", "client", n, size=8)) for n in range(CLIENTS)]

    async def client(number: int) -> None:
        for turn in range(rounds):
            for transaction in _download(accounts[number], number * rounds + turn, servers=1):
                await bank.apply(transaction(time_ns=clock.now_ns()))

    async with trio.open_nursery() as nursery:
        await nursery.start(bank.run)
        await bank.apply(tariff(FEE_CREDITS, board=0, time_ns=clock.now_ns()))
        for account in accounts:
            await bank.apply(mint(account, rounds * FEE_CREDITS, board=0, time_ns=clock.now_ns()))
        began_s = time.perf_counter()
        async with trio.open_nursery() as clients:
            for number in range(CLIENTS):
                clients.start_soon(client, number)
        took_s = time.perf_counter() - began_s
        nursery.cancel_scope.cancel()
    return 2 * CLIENTS * rounds / took_s


def _download(account: str, number: int, *, servers: int) -> Sequence[partial[Transaction]]:
    """Return the two transfers of a download, but for their times."""
    download = number.to_bytes(16, "big")
    return (
        partial(hold, download, account, FEE_CREDITS, expires_ns=2**62, board=0),
        partial(
            settle,
            download,
            downloader=account,
            fee_credits=FEE_CREDITS,
            size_bytes=servers * PIECE_BYTES,
            totals=dict.fromkeys(SERVERS[:servers], PIECE_BYTES),
            board=0,
        ),
    )


def _rows_per_s(path: Path, commits: int) -> float:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_TABLES)
        names = [f"user/{n:016x}" for n in range(CLIENTS)]
        db.executemany("INSERT INTO account VALUES (?, ?)", [(name, 10**12) for name in names])
        body = bytes(ROW_BYTES)
        began_s = time.perf_counter()
        for first in range(0, commits * CLIENTS, CLIENTS):
            seqs = range(first, first + CLIENTS)
            moves = [(sign, names[(seq + sign) % CLIENTS]) for seq in seqs for sign in (1, -1)]
            db.execute("BEGIN IMMEDIATE")
            db.executemany("UPDATE account SET balance = balance + ? WHERE name = ?", moves)
            db.executemany("INSERT INTO transfer VALUES (?, ?, ?)", [(s, s.to_bytes(16, "big"), body) for s in seqs])
            db.execute("COMMIT")
        return commits * CLIENTS / (time.perf_counter() - began_s)


def _signed(number: int, count: int) -> tuple[Identity, Identity, list[bytes]]:
    """Return a downloader, a tracker and the downloader's receipts."""
    downloader, tracker = (Identity(keyed_bytes(1, "bench", who, number), epoch=1) for who in ("node", "tracker"))
    frames = [
        encode_signed(
            Receipt(bytes(16), SERVERS[0], n, n, bytes(32)), to=SERVERS[0], seq=n, board=0, identity=downloader
        )
        for n in range(count)
    ]
    return downloader, tracker, frames


def _opened_per_s(number: int, count: int) -> float:
    downloader, tracker, frames = _signed(number, count)
    sessions = Sessions(tracker)
    join = Join(downloader.sign_key, downloader.exchange_key, "127.0.0.1", 1, 1.0)
    _, session = sessions.meet(encode_signed(join, to=tracker.node, seq=0, board=0, identity=downloader))
    sessions.keep(session, sign_key=downloader.sign_key)
    began_s = time.process_time()
    for frame in frames:
        sessions.open_receipt(frame)
    return count / (time.process_time() - began_s)


def _proven_per_s(number: int, count: int) -> float:
    downloader, _, frames = _signed(number, count)
    signed = [
        nacl.bindings.crypto_sign(frame[:-SIGNATURE_BYTES], downloader._sign_secret)  # noqa: SLF001
        for frame in frames
    ]
    began_s = time.process_time()
    for one in signed:
        nacl.bindings.crypto_sign_open(one, downloader.sign_key)
    return count / (time.process_time() - began_s)


def write_journal(path: Path, transfers: int) -> int:
    """Write a journal of holds and settlements by 100 clients, and return how many transactions it has."""
    journal, ledger = Journal(path), Ledger()
    accounts = [user_account(keyed_bytes(1, "bench", "client", n, size=8)) for n in range(CLIENTS)]
    entries: list[Entry] = []

    def add(transaction: Transaction) -> None:
        entry = ledger.admit(transaction)
        assert entry is not None
        ledger.post(entry)
        entries.append(entry)
        if len(entries) >= _BATCH:
            journal.append(entries)
            entries.clear()

    add(tariff(FEE_CREDITS, board=0, time_ns=1))
    for account in accounts:
        add(mint(account, transfers * FEE_CREDITS, board=0, time_ns=1))
    for number in range(transfers // 2):
        for transaction in _download(accounts[number % CLIENTS], number, servers=len(SERVERS)):
            add(transaction(time_ns=1 + number))
    if entries:
        journal.append(entries)
    journal.close()
    return ledger.count


def _audit_s(path: Path, transfers: int) -> float:
    began_s = time.process_time()
    report = audit(path)
    took_s = time.process_time() - began_s
    assert report.ok
    return took_s / transfers * 1e6


def _chain_s(path: Path, transfers: int) -> float:
    began_s = time.process_time()
    head = GENESIS
    with closing(sqlite3.connect(path)) as db:
        for (body,) in db.execute("SELECT body FROM journal ORDER BY seq"):
            head = hashlib.blake2b(head + body, digest_size=32, person=b"swarmbed-chain").digest()
    return (time.process_time() - began_s) / transfers * 1e6
