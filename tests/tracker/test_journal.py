"""The journal on disk: what was written comes back, and nothing else is believed."""

import sqlite3
from contextlib import closing

import msgspec
import pytest

from netem.errors import ConfigError, LedgerError
from tracker.bank.entries import GENESIS, link
from tracker.bank.journal import BrokenChain, Journal, read_journal
from tracker.bank.ledger import Ledger
from tracker.bank.movements import hold, mint, settle, tariff
from tracker.bank.transactions import HoldMemo, encode, user_account

FEE = 1_000_000
ANN = user_account(b"ann-ann-")
SERVER = b"serv-ser"
DOWNLOADS = [bytes([i]) * 16 for i in range(5)]


def transactions():
    """A tariff, a mint, and five downloads held and settled: 12 transactions."""
    made = [tariff(FEE, board=0, time_ns=1), mint(ANN, 9 * FEE, board=0, time_ns=2)]
    for i, download in enumerate(DOWNLOADS):
        made.append(hold(download, ANN, FEE, terms=HoldMemo(99, 0, 10, bytes(32)), board=i, time_ns=10 + i))
        made.append(
            settle(
                download,
                downloader=ANN,
                fee_credits=FEE,
                size_bytes=10,
                totals={SERVER: i},
                board=i,
                time_ns=10 + i,
            )
        )
    return made


def entries(ledger, made):
    """Admit transactions to a ledger and return their entries."""
    admitted = []
    for transaction in made:
        entry = ledger.admit(transaction)
        ledger.post(entry)
        admitted.append(entry)
    return admitted


@pytest.fixture
def path(tmp_path):
    """A closed journal of 12 transactions."""
    path = tmp_path / "ledger.sqlite"
    journal = Journal(path)
    journal.append(entries(journal.replay(), transactions()))
    journal.close()
    return path


def edit(path, sql, *values):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(sql, values)


def body_of(path, seq):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT body FROM journal WHERE seq = ?", (seq,)).fetchone()[0]


def test_what_was_written_comes_back(path):
    ledger = Ledger()
    written = entries(ledger, transactions())
    assert list(read_journal(path)) == written
    journal = Journal(path)
    replayed = journal.replay()
    journal.close()
    assert (replayed.head, replayed.balances(), replayed.count) == (ledger.head, ledger.balances(), 12)


def test_a_new_journal_is_empty_and_a_closed_one_leaves_one_file(tmp_path):
    path = tmp_path / "ledger.sqlite"
    journal = Journal(path)
    assert journal.replay().head == GENESIS
    journal.close()
    journal.close()
    assert list(read_journal(path)) == []
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_commits_are_on_the_disk_when_they_return(path):
    journal = Journal(path)
    settings = [journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    journal.close()
    assert settings == ["wal", 2]


def test_a_reopened_journal_goes_on_where_it_stopped(path):
    journal = Journal(path)
    ledger = journal.replay()
    journal.append(entries(ledger, [mint(ANN, 5, board=9, time_ns=100, reason="gift")]))
    journal.append(entries(ledger, [mint(ANN, 6, board=9, time_ns=101, reason="more")]))
    journal.close()
    assert [entry.head for entry in read_journal(path)][-1] == ledger.head


@pytest.mark.parametrize("seq", [0, 5, 11])
@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_flipped_byte_is_found_where_it_is(path, seq, place):
    body = bytearray(body_of(path, seq))
    body[place] ^= 1
    edit(path, "UPDATE journal SET body = ? WHERE seq = ?", bytes(body), seq)
    with pytest.raises(BrokenChain, match=f"transaction {seq}: its bytes do not fit"):
        list(read_journal(path))
    journal = Journal(path)
    with pytest.raises(BrokenChain) as caught:
        journal.replay()
    assert caught.value.seq == seq


def test_a_byte_flipped_in_the_file_itself_is_found(path):
    body = body_of(path, 7)
    raw = bytearray(path.read_bytes())
    assert raw.count(body) == 1
    raw[raw.index(body) + 30] ^= 0x10
    path.write_bytes(raw)
    with pytest.raises(BrokenChain, match="transaction 7"):
        list(read_journal(path))


@pytest.mark.parametrize("seq", [0, 4, 11])
def test_a_deleted_row_is_found_even_at_the_end(path, seq):
    edit(path, "DELETE FROM journal WHERE seq = ?", seq)
    with pytest.raises(BrokenChain, match=f"transaction {seq}: missing"):
        list(read_journal(path))


def test_two_rows_swapped_are_found_at_the_first(path):
    edit(path, "UPDATE journal SET seq = -seq WHERE seq IN (5, 6)")
    edit(path, "UPDATE journal SET seq = 11 + seq WHERE seq < 0")
    with pytest.raises(BrokenChain, match="transaction 5: its bytes do not fit"):
        list(read_journal(path))


def test_a_row_filed_under_another_id_is_found(path):
    edit(path, "UPDATE journal SET id = ? WHERE seq = 3", bytes(16))
    with pytest.raises(BrokenChain, match="transaction 3: filed under another id"):
        list(read_journal(path))


def test_a_changed_newest_row_is_found(path):
    edit(path, "UPDATE newest SET head = ?", bytes(32))
    with pytest.raises(BrokenChain, match="the newest head is another"):
        list(read_journal(path))


@pytest.mark.parametrize(
    "body",
    [b"", b"\x90", encode(tariff(FEE, board=0, time_ns=1)).replace(b"board", b"\xff" * 5)],
    ids=["nothing", "an empty array", "bad text"],
)
def test_bytes_that_chain_but_are_no_transaction_are_refused(tmp_path, body):
    path = tmp_path / "ledger.sqlite"
    journal = Journal(path)
    (entry,) = entries(journal.replay(), [tariff(FEE, board=0, time_ns=1)])
    journal.append([msgspec.structs.replace(entry, body=body, head=link(GENESIS, body))])
    journal.close()
    with pytest.raises(BrokenChain, match="transaction 0: no transaction"):
        list(read_journal(path))


def test_a_chain_whose_transactions_break_the_rules_does_not_open(tmp_path):
    path = tmp_path / "ledger.sqlite"
    journal = Journal(path)
    fee, spent = entries_without_rules(
        [
            tariff(FEE, board=0, time_ns=1),
            hold(DOWNLOADS[0], ANN, FEE, terms=HoldMemo(9, 0, 10, bytes(32)), board=0, time_ns=1),
        ]
    )
    journal.append([fee, spent])
    journal.close()
    assert len(list(read_journal(path))) == 2
    with pytest.raises(BrokenChain, match="transaction 1: the rules refuse it: insufficient"):
        Journal(path).replay()


def entries_without_rules(made):
    """Chain transactions as a forger would, whatever the rules say."""
    ledger = Ledger()
    ledger.check = lambda *_: True
    forged = []
    for transaction in made:
        forged.append(ledger.admit(transaction))
        ledger.head = forged[-1].head
    return forged


def test_a_second_writer_is_refused_and_leaves_the_chain_whole(path):
    first, second = Journal(path), Journal(path)
    ledgers = first.replay(), second.replay()
    first.append(entries(ledgers[0], [mint(ANN, 5, board=9, time_ns=100, reason="gift")]))
    with pytest.raises(LedgerError, match="UNIQUE"):
        second.append(entries(ledgers[1], [mint(ANN, 6, board=9, time_ns=100, reason="theft")]))
    second.close()
    first.append(entries(ledgers[0], [mint(ANN, 7, board=9, time_ns=100, reason="more")]))
    first.close()
    assert len(list(read_journal(path))) == 14


def test_a_batch_that_fails_is_not_written_at_all(path):
    journal = Journal(path)
    batch = entries(journal.replay(), [mint(ANN, 5, board=9, time_ns=100, reason=str(i)) for i in range(3)])
    with pytest.raises(LedgerError):
        journal.append([batch[0], batch[1], batch[1]])
    journal.close()
    assert len(list(read_journal(path))) == 12


def test_a_journal_is_read_while_its_writer_goes_on(path):
    journal = Journal(path)
    ledger = journal.replay()
    reader = read_journal(path)
    next(reader)
    journal.append(entries(ledger, [mint(ANN, 5, board=9, time_ns=100, reason="gift")]))
    assert len(list(reader)) == 11
    assert len(list(read_journal(path))) == 13
    journal.close()


@pytest.mark.parametrize(
    "content", [b"not a database, but longer than a header of 100 bytes. " * 9, b"SQLite format 3\0"]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(LedgerError):
        Journal(path)
    with pytest.raises(LedgerError):
        list(read_journal(path))
    assert path.read_bytes() == content


def test_another_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    edit(path, "CREATE TABLE t (x)")
    content = path.read_bytes()
    with pytest.raises(LedgerError, match="not a ledger"):
        Journal(path)
    with pytest.raises(LedgerError, match="not a ledger"):
        list(read_journal(path))
    assert path.read_bytes() == content


def test_a_ledger_of_another_version_is_refused(path):
    edit(path, "PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="version"):
        Journal(path)


def test_missing_files_and_folders_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"ledger\.sqlite"):
        list(read_journal(tmp_path / "ledger.sqlite"))
    with pytest.raises(LedgerError, match="unable to open"):
        Journal(tmp_path / "nowhere" / "ledger.sqlite")
    with pytest.raises(LedgerError):
        Journal(tmp_path)
