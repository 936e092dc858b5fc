"""Kill a bank at every point of a workload of about 200 transactions, and see what is left; run by `test_kills.py` in its own process.

A point is the start of an SQL statement (each row of a batch is one) or the return of a call to SQLite. For each, a forked
child runs the workload and kills itself there by SIGKILL, telling every acknowledgement through a pipe as it comes. Then the
journal is audited, and a second bank finishes the workload on it.

usage: python kill_bank.py STRIDE    (every STRIDE-th point; writes JSON)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import trio

from netem.errors import ConfigError, LedgerError
from netem.virtual_time import VirtualTime, schedule_deterministically
from tracker.bank.audit import audit
from tracker.bank.bank import Bank
from tracker.bank.journal import read_journal
from tracker.bank.movements import close, hold, licence, mint, offer, publish, settle, tariff
from tracker.bank.transactions import HoldMemo, user_account
from tracker.manifest import manifest_root
from tracker.messages import Manifest

CLIENTS, DOWNLOADS, FILES = 8, 7, 7
TRANSACTIONS = 1 + FILES + 1 + CLIENTS * (2 + 3 * DOWNLOADS + 2)
FEE, PRICE, SIZE_BYTES, ID_BYTES = 1_000, 250, 300, 16
PROVIDER = bytes([200]) * 8
NODES = [bytes([n + 1]) * 8 for n in range(CLIENTS)]
CLOCK = (
    VirtualTime()
)  # a bank under virtual time commits inline, so that a statement's number means the same in every run


class Points:
    """Count the points of a run, and die at one of them."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.passed = 0

    def reach(self, *_: object) -> None:
        if self.passed == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1

    def connect(self, path: Path, **options: object) -> sqlite3.Connection:
        points = self

        class Watched(sqlite3.Connection):
            """Reach a point after every call; before every statement the trace does."""

            def execute(self, *statement):
                result = super().execute(*statement)
                points.reach()
                return result

            def executemany(self, *statement):
                result = super().executemany(*statement)
                points.reach()
                return result

            def executescript(self, script):
                result = super().executescript(script)
                points.reach()
                return result

        db = CONNECT(path, factory=Watched, **options)
        db.set_trace_callback(self.reach)
        return db


CONNECT = sqlite3.connect


def manifest(number: int) -> Manifest:
    name, pieces = f"file {number}", [bytes([number]) * 32]
    return Manifest(name, SIZE_BYTES, pieces, manifest_root(name, SIZE_BYTES, pieces))


async def workload(bank: Bank, acknowledge) -> None:
    """Play all clients at once; whatever was applied before is applied once."""
    now = count(bank.ledger.time_ns + 1)

    async def apply(transaction):
        await bank.apply(transaction)
        acknowledge(transaction.id)

    async def client(number: int) -> None:
        me = user_account(NODES[number])
        await apply(mint(me, 100 * FEE, board=0, time_ns=next(now)))
        to = user_account(PROVIDER)
        await apply(licence(FILES, buyer=me, provider=to, price_credits=PRICE, board=0, time_ns=next(now)))
        for n in range(DOWNLOADS + 1):
            download = bytes([number, n]) * 8
            terms = HoldMemo(10**6, n % FILES, SIZE_BYTES, bytes(32))
            await apply(hold(download, me, FEE, terms=terms, board=0, time_ns=next(now)))
            totals = {NODES[(number + 1) % CLIENTS]: 100, NODES[(number + n + 2) % CLIENTS]: 7 * n} if n else {}
            if totals:
                await apply(close(download, totals, board=0, time_ns=next(now)))
            await apply(
                settle(
                    download,
                    downloader=me,
                    fee_credits=FEE,
                    size_bytes=SIZE_BYTES,
                    totals=totals,
                    board=0,
                    time_ns=next(now),
                )
            )

    await apply(tariff(FEE, board=0, time_ns=next(now)))
    for index in range(FILES):
        await apply(publish(manifest(index), index=index, board=0, time_ns=next(now)))
    await apply(offer(manifest(FILES), index=FILES, provider=PROVIDER, price_credits=PRICE, board=0, time_ns=next(now)))
    async with trio.open_nursery() as clients:
        for number in range(CLIENTS):
            clients.start_soon(client, number)


def play(path: Path, acknowledge) -> None:
    """Open a bank and run the workload on it to the end."""

    async def main():
        async with trio.open_nursery() as nursery:
            bank = Bank(path, CLOCK)
            await nursery.start(bank.run)
            await workload(bank, acknowledge)
            nursery.cancel_scope.cancel()

    schedule_deterministically(1)
    trio.run(main)


def points_of(path: Path) -> int:
    """Count the points of a run that nobody kills."""
    points = Points(fatal=-1)
    sqlite3.connect = points.connect
    play(path, lambda _: None)
    sqlite3.connect = CONNECT
    return points.passed


def killed_at(point: int, path: Path) -> set[bytes]:
    """Run the workload in a child that dies at a point; return what was acknowledged until then."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        points = Points(point)
        sqlite3.connect = points.connect
        play(path, lambda id_: os.write(write_end, id_))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child came past its point"
    assert os.WTERMSIG(status) == signal.SIGKILL
    return {told[i : i + ID_BYTES] for i in range(0, len(told), ID_BYTES)}


def faults(path: Path, acknowledged: set[bytes]) -> list[str]:
    """Say what is wrong with what a killed bank left, and with what another bank makes of it."""
    found, kept = _read(path)
    if acknowledged - set(kept):
        found.append(f"{len(acknowledged - set(kept))} acknowledged transactions are gone")
    again: list[bytes] = []
    play(path, again.append)
    wrong, final = _read(path)
    if len(final) != TRANSACTIONS or set(final) != set(again):
        found.append(f"{len(final)} transactions in the end")
    if audit(path).held_credits:
        found.append("something is still held")
    return found + wrong


def _read(path: Path) -> tuple[list[str], list[bytes]]:
    """Audit a journal; return what is wrong, and the ids in it. One without any table, or missing, is empty."""
    try:
        report = audit(path)
        return [] if report.ok else [str(report)], [entry.transaction.id for entry in read_journal(path)]
    except (LedgerError, ConfigError) as error:
        with contextlib.closing(CONNECT(path)) as db:
            return [str(error)] if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] else [], []


def main(stride: int) -> None:
    started = time.monotonic()
    kept, found = [], []
    memory = Path("/dev/shm")  # a killed process leaves its page cache, so the kind of disk makes no difference
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        total = points_of(Path(directory) / "whole.sqlite")
        for point in range(0, total, stride):
            path = Path(directory) / f"{point}.sqlite"
            acknowledged = killed_at(point, path)
            kept.append(len(acknowledged))
            found += [f"point {point}: {fault}" for fault in faults(path, acknowledged)]
    result = {
        "points": total,
        "killed": len(kept),
        "acknowledged": [min(kept), max(kept)],
        "faults": found,
        "elapsed_s": time.monotonic() - started,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]))
