"""The bank's driver: durable before acknowledged, one at a time, and honest when the disk fails."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from netem.errors import LedgerError, Rejection
from netem.real_time import RealTime
from netem.virtual_time import VirtualTime
from tracker.bank.audit import audit
from tracker.bank.bank import Bank
from tracker.bank.journal import BrokenChain, read_journal
from tracker.bank.movements import hold, mint, settle, tariff
from tracker.bank.transactions import HoldMemo, transaction_id, user_account

FEE = 1_000_000
ANN = user_account(b"ann-ann-")
SERVER = b"serv-ser"
D = bytes(16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def commits(monkeypatch):
    """Sizes of the batches that were written."""
    sizes = []
    append = Bank.__init__.__globals__["Journal"].append

    def counted(journal, entries):
        append(journal, entries)
        sizes.append(len(entries))

    monkeypatch.setattr("tracker.bank.journal.Journal.append", counted)
    return sizes


async def a_bank(path, nursery, clock):
    bank = Bank(path, clock)
    await nursery.start(bank.run)
    return bank


def gift(i, amount=5):
    return mint(ANN, amount, board=0, time_ns=1, reason=f"gift-{i}")


def a_hold(download=D, time_ns=2):
    return hold(download, ANN, FEE, terms=HoldMemo(99, 0, 10, bytes(32)), board=0, time_ns=time_ns)


def a_settlement(nbytes):
    return settle(D, downloader=ANN, fee_credits=FEE, size_bytes=10, totals={SERVER: nbytes}, board=0, time_ns=3)


async def test_money_moves_and_is_there_after_reopening(path):
    async with trio.open_nursery() as nursery:
        bank = await a_bank(path, nursery, RealTime())
        for transaction in (tariff(FEE, board=0, time_ns=1), gift(0, 2 * FEE), a_hold(), a_settlement(4)):
            await bank.apply(transaction)
        head = bank.ledger.head
        nursery.cancel_scope.cancel()
    reopened = Bank(path, RealTime())
    assert reopened.ledger.head == head
    assert reopened.ledger.balance(ANN) == 1_600_000
    assert reopened.ledger.balance(user_account(SERVER)) == 400_000
    reopened.close()


async def test_refusals_reach_their_caller_and_nobody_else(path):
    async with trio.open_nursery() as nursery:
        bank = await a_bank(path, nursery, RealTime())
        await bank.apply(tariff(FEE, board=0, time_ns=1))
        await bank.apply(gift(0, FEE))
        reasons = []

        async def try_hold(i):
            try:
                await bank.apply(a_hold(bytes([i]) * 16))
            except Rejection as rejection:
                reasons.append(rejection.reason)

        async with trio.open_nursery() as clients:
            for i in range(10):
                clients.start_soon(try_hold, i)
        assert reasons == ["insufficient"] * 9
        assert bank.ledger.held(ANN) == FEE
        nursery.cancel_scope.cancel()


async def test_a_retry_succeeds_and_moves_nothing(path):
    async with trio.open_nursery() as nursery:
        bank = await a_bank(path, nursery, RealTime())
        async with trio.open_nursery() as clients:
            for _ in range(5):
                clients.start_soon(bank.apply, gift(0))
        await bank.apply(gift(0))
        with pytest.raises(Rejection, match="id-reused"):
            await bank.apply(gift(0, amount=6))
        assert (bank.ledger.balance(ANN), bank.ledger.count) == (5, 1)
        nursery.cancel_scope.cancel()


async def test_a_hundred_clients_share_commits(path, commits):
    async with trio.open_nursery() as nursery:
        bank = await a_bank(path, nursery, RealTime())

        async def client(number):
            for i in range(10):
                await bank.apply(gift(f"{number}-{i}"))

        async with trio.open_nursery() as clients:
            for number in range(100):
                clients.start_soon(client, number)
        assert bank.ledger.balance(ANN) == 5000
        nursery.cancel_scope.cancel()
    assert sum(commits) == 1000
    assert len(commits) < 500
    assert max(commits) <= 512
    assert audit(path).ok


async def test_what_is_not_durable_yet_is_not_shown(path, monkeypatch):
    seen = []
    async with trio.open_nursery() as nursery:
        bank = await a_bank(path, nursery, RealTime())
        append = bank._journal.append

        def spy(entries):
            seen.append((bank.ledger.balance(ANN), bank.ledger.count))
            append(entries)

        monkeypatch.setattr(bank._journal, "append", spy)
        await bank.apply(gift(0))
        await bank.apply(gift(1))
        nursery.cancel_scope.cancel()
    assert seen == [(0, 0), (5, 1)]


async def test_a_batch_under_way_is_finished_and_the_rest_turned_away_on_cancellation(path, monkeypatch):
    bank = Bank(path, RealTime())
    append = bank._journal.append
    answers = {}

    def slow(entries):
        trio.from_thread.run_sync(scope.cancel)
        append(entries)

    async def client(i):
        with trio.CancelScope(shield=True):
            try:
                await bank.apply(gift(i))
                answers[i] = "done"
            except LedgerError:
                answers[i] = "closed"

    monkeypatch.setattr(bank._journal, "append", slow)
    monkeypatch.setattr("tracker.bank.bank.MOST_PER_COMMIT", 3)
    async with trio.open_nursery() as nursery:
        for i in range(5):
            nursery.start_soon(client, i)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            await bank.run()
    assert sorted(answers.values()) == ["closed"] * 2 + ["done"] * 3
    with pytest.raises(LedgerError, match="closed"):
        await bank.apply(gift(9))
    kept = {entry.transaction.ref for entry in read_journal(path)}
    assert kept == {gift(i).ref for i, answer in answers.items() if answer == "done"}


async def test_a_full_disk_stops_the_bank_and_keeps_what_was_acknowledged(path):
    acknowledged = []
    async with trio.open_nursery() as nursery:
        bank = await a_bank(path, nursery, RealTime())
        pages = bank._journal._db.execute("PRAGMA page_count").fetchone()[0]
        bank._journal._db.execute(f"PRAGMA max_page_count = {pages + 20}")

        async def client(number):
            for i in range(1000):
                try:
                    await bank.apply(gift(f"{number}-{i}"))
                except LedgerError:
                    return
                acknowledged.append(gift(f"{number}-{i}").id)

        for number in range(10):
            nursery.start_soon(client, number)
    assert bank.ledger.count == len(acknowledged) > 100
    with pytest.raises(LedgerError, match="closed"):
        await bank.apply(gift("late"))
    assert {entry.transaction.id for entry in read_journal(path)} == set(acknowledged)
    assert Bank(path, RealTime()).ledger.head == bank.ledger.head


async def test_on_a_disk_that_is_really_full_nothing_more_is_acknowledged_and_nothing_acknowledged_is_lost(small_disk):
    acknowledged, refused = [], []

    async def client(number):
        for i in range(1000):
            try:
                await bank.apply(gift(f"{number}-{i}"))
            except LedgerError as error:
                refused.append(str(error))
                return
            acknowledged.append(gift(f"{number}-{i}").id)

    with small_disk(400) as directory:
        path = directory / "ledger.sqlite"
        async with trio.open_nursery() as nursery:
            bank = await a_bank(path, nursery, RealTime())
            for number in range(5):
                nursery.start_soon(client, number)
        assert len(refused) == 5
        assert any("disk" in text for text in refused)
        assert len(acknowledged) > 100
        with pytest.raises(LedgerError):
            await bank.apply(gift("late"))
    assert audit(path).ok
    assert {entry.transaction.id for entry in read_journal(path)} == set(acknowledged)
    async with trio.open_nursery() as nursery:
        bank = await a_bank(path, nursery, RealTime())
        await bank.apply(gift("late"))
        assert bank.ledger.count == len(acknowledged) + 1
        nursery.cancel_scope.cancel()
    assert audit(path).ok


async def test_a_broken_or_foreign_or_missing_place_does_not_open(path, tmp_path):
    async with trio.open_nursery() as nursery:
        bank = await a_bank(path, nursery, RealTime())
        await bank.apply(gift(0))
        nursery.cancel_scope.cancel()
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"gift-0")] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BrokenChain, match="transaction 0"):
        Bank(path, RealTime())
    for place in (tmp_path, tmp_path / "missing" / "ledger.sqlite"):
        with pytest.raises(LedgerError):
            Bank(place, RealTime())


def virtual_run(path):
    """Run a hundred clients under virtual time; return the journal's head."""

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clock.run)
            bank = await a_bank(path, nursery, clock)

            async def client(i):
                await trio.sleep(i / 100)
                await bank.apply(mint(ANN, i + 1, board=0, time_ns=clock.now_ns(), reason=f"gift-{i}"))

            async with trio.open_nursery() as clients:
                for i in range(100):
                    clients.start_soon(client, i)
            nursery.cancel_scope.cancel()
        return bank.ledger.head

    clock = VirtualTime()
    return trio.run(main, clock=clock)


def test_virtual_time_does_not_pass_while_the_bank_writes_and_runs_repeat(tmp_path):
    heads = [virtual_run(tmp_path / name) for name in ("a", "b")]
    assert heads[0] == heads[1]
    report = audit(tmp_path / "a")
    assert report.ok
    assert (report.count, report.head, report.minted_credits) == (100, heads[0], 5050)


WRITER = """
import sys
from pathlib import Path
import trio
from netem.real_time import RealTime
from tracker.bank.bank import Bank
from tracker.bank.transactions import user_account
from tracker.bank.movements import mint

async def main():
    bank = Bank(Path(sys.argv[1]), RealTime())
    async def client(number):
        for i in range(10**6):
            await bank.apply(mint(user_account(b"%8d" % number), 1, board=0, time_ns=1, reason=f"gift-{i}"))
            print(f"gift-{i}/{user_account(b'%8d' % number)}", flush=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(bank.run)
        for number in range(10):
            nursery.start_soon(client, number)

trio.run(main)
"""


@pytest.mark.parametrize("acknowledgements", [1, 37, 400, 1500])
def test_everything_acknowledged_survives_a_kill(path, acknowledgements):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    )
    with writer:
        told = [writer.stdout.readline().strip() for _ in range(acknowledgements)]
        writer.send_signal(signal.SIGKILL)
        # What it told before the signal took effect counts as well; a torn last line does not.
        told += [line.strip() for line in writer.stdout if line.endswith("\n")]
    assert writer.returncode == -signal.SIGKILL
    report = audit(path)
    assert report.ok
    kept = {entry.transaction.id for entry in read_journal(path)}
    assert {transaction_id("mint", ref) for ref in told} <= kept
    bank = Bank(path, RealTime())
    assert bank.ledger.count == report.count >= acknowledgements
    bank.close()
    assert audit(path).head == report.head
