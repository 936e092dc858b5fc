"""trio: the work that bench `bank` measures: the bank's own, and the shortest code that keeps one of its promises."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import nacl.bindings
import trio

from netem.randomness import keyed_bytes
from netem.real_time import RealTime
from tracker.bank.audit import audit
from tracker.bank.bank import Bank
from tracker.bank.entries import GENESIS, Entry
from tracker.bank.journal import Journal
from tracker.bank.ledger import Ledger
from tracker.bank.movements import hold, mint, settle, tariff
from tracker.bank.transactions import HoldMemo, Transaction, user_account
from tracker.identity import KEY_BYTES, SIGNATURE_BYTES, Identity
from tracker.messages import Join, Receipt
from tracker.sessions import Sessions
from tracker.wire import encode_signed

CLIENTS = 100
FEE_CREDITS, PIECE_BYTES = 1_000_000, 262_144
SERVERS = [keyed_bytes(1, "bench", "server", n, size=8) for n in range(3)]
ROW_BYTES = 160  # about the mean of the bank's own
_BATCH = 5_000
_TABLES = """
CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;
CREATE TABLE transfer (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;
"""


async def transfers_per_s(path: Path, rounds: int) -> float:
    """Return how many transfers a second a bank makes durable for clients that each wait for theirs."""
    clock = RealTime()
    bank = Bank(path, clock)
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
    terms = HoldMemo(2**62, index=0, size_bytes=servers * PIECE_BYTES, sign_key=bytes(KEY_BYTES))
    return (
        partial(hold, download, account, FEE_CREDITS, terms=terms, board=0),
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


def rows_per_s(path: Path, commits: int) -> float:
    """Return how many transfers a second bare SQLite makes durable: a row and two balances each."""
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


Signed = tuple[list[bytes], list[bytes]]


def sign_receipts(sets: int, count: int) -> list[Signed]:
    """Return sets of receipts, each by its own downloader: as frames, and as bytes signed by bare PyNaCl."""
    made = []
    for number in range(sets):
        downloader = _downloader(number)
        receipts = [Receipt(bytes(16), SERVERS[0], n, n, bytes(32)) for n in range(count)]
        frames = [
            encode_signed(receipt, to=SERVERS[0], seq=n, board=0, identity=downloader)
            for n, receipt in enumerate(receipts)
        ]
        _, secret = nacl.bindings.crypto_sign_seed_keypair(_seed(number))
        made.append((frames, [nacl.bindings.crypto_sign(frame[:-SIGNATURE_BYTES], secret) for frame in frames]))
    return made


def _seed(number: int) -> bytes:
    return keyed_bytes(1, "bench", "downloader", number)


def _downloader(number: int) -> Identity:
    return Identity(_seed(number), epoch=1)


def opened_per_s(number: int, signed: Signed) -> float:
    """Return how many receipts of a set the tracker opens per CPU second."""
    frames, _ = signed
    downloader, tracker = _downloader(number), Identity(keyed_bytes(1, "bench", "tracker"), epoch=1)
    sessions = Sessions(tracker)
    join = Join(downloader.sign_key, downloader.exchange_key, "127.0.0.1", 1, 1.0)
    _, session = sessions.meet(encode_signed(join, to=tracker.node, seq=0, board=0, identity=downloader))
    sessions.keep(session, sign_key=downloader.sign_key)
    began_s = time.process_time()
    for frame in frames:
        sessions.open_receipt(frame)
    return len(frames) / (time.process_time() - began_s)


def proven_per_s(number: int, signed: Signed) -> float:
    """Return how many of a set's signatures bare PyNaCl proves per CPU second."""
    _, messages = signed
    sign_key = _downloader(number).sign_key
    began_s = time.process_time()
    for message in messages:
        nacl.bindings.crypto_sign_open(message, sign_key)
    return len(messages) / (time.process_time() - began_s)


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


def audit_s(path: Path, transfers: int) -> float:
    """Return the CPU seconds of an audit, for 10^6 transfers."""
    began_s = time.process_time()
    report = audit(path)
    took_s = time.process_time() - began_s
    assert report.ok
    return took_s / transfers * 1e6


def chain_s(path: Path, transfers: int) -> float:
    """Return the CPU seconds of reading the rows and hashing the chain, for 10^6 transfers."""
    began_s = time.process_time()
    head = GENESIS
    with closing(sqlite3.connect(path)) as db:
        for (body,) in db.execute("SELECT body FROM journal ORDER BY seq"):
            head = hashlib.blake2b(head + body, digest_size=32, person=b"swarmbed-chain").digest()
    return (time.process_time() - began_s) / transfers * 1e6
