"""The audit finds what is wrong and says where, in a journal that is whole, torn, forged or in use."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from netem.errors import ConfigError
from tracker.bank.audit import audit, render_audit
from tracker.bank.entries import Entry, link
from tracker.bank.journal import Journal
from tracker.bank.movements import hold, mint, settle, tariff
from tracker.bank.transactions import HoldMemo, Posting, encode, terms, user_account

FEE = 1_000_000
ANN = user_account(b"ann-ann-")
SERVER = b"serv-ser"
DOWNLOADS = [bytes([i]) * 16 for i in range(3)]


def a_hold(download):
    return hold(download, ANN, FEE, terms=HoldMemo(99, 0, 10, bytes(32)), board=0, time_ns=2)


def a_settlement(download):
    return settle(download, downloader=ANN, fee_credits=FEE, size_bytes=10, totals={SERVER: 4}, board=0, time_ns=3)


MADE = [
    tariff(FEE, board=0, time_ns=1),
    mint(ANN, 9 * FEE, board=0, time_ns=1),
    *(a_hold(download) for download in DOWNLOADS),
    *(a_settlement(download) for download in DOWNLOADS[:2]),
]


def write(path, made):
    """Write transactions as they are, right or wrong, with a chain that fits; return the journal, still open."""
    journal = Journal(path)
    head = journal.replay().head
    entries = []
    for transaction in made:
        body = encode(transaction)
        head = link(head, body)
        entries.append(Entry(transaction, body, head, terms(body)))
    journal.append(entries)
    return journal


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.sqlite"
    write(path, MADE).close()
    return path


def test_a_whole_journal_passes(path):
    report = audit(path)
    assert report.ok
    assert report.broken is None
    assert (report.count, report.minted_credits, report.held_credits) == (7, 9 * FEE, FEE)
    assert report.invariants == {f"I{n}": True for n in range(1, 9)}
    lines = render_audit(report)
    assert lines[0] == f"7 transactions, head {report.head.hex()}"
    assert lines[1] == "9.000000 credits minted, 1.000000 held"
    assert len(lines) == 10
    assert all(" holds " in line for line in lines[2:])


def test_an_empty_journal_passes(tmp_path):
    Journal(tmp_path / "ledger.sqlite").close()
    assert audit(tmp_path / "ledger.sqlite").ok


def test_a_missing_journal_is_the_users_mistake(tmp_path):
    with pytest.raises(ConfigError, match="ledger"):
        audit(tmp_path / "ledger.sqlite")


@pytest.mark.parametrize(
    ("sql", "seq"),
    [
        ("UPDATE journal SET body = replace(body, x'c4', x'c5') WHERE seq = 3", 3),
        ("DELETE FROM journal WHERE seq = 2", 2),
        ("DELETE FROM journal WHERE seq = 6", 6),
        ("DELETE FROM journal", 0),
        ("UPDATE journal SET seq = 7 WHERE seq = 4", 4),
        ("UPDATE newest SET count = 6", 7),
    ],
)
def test_tampering_is_named_by_the_first_broken_transaction(path, sql, seq):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(sql.replace("replace(body, x'c4', x'c5')", "CAST(replace(body, x'c4', x'c5') AS BLOB)"))
    report = audit(path)
    assert not report.ok
    assert report.broken.seq == seq
    assert report.count == seq
    assert render_audit(report)[-1].startswith(f"first broken transaction {seq}: ")


def test_a_forged_payout_is_found_though_the_chain_fits(tmp_path):
    path = tmp_path / "ledger.sqlite"
    honest = MADE[5]
    legs = honest.postings
    forged = type(honest)(
        honest.id,
        honest.board,
        honest.time_ns,
        honest.ref,
        (legs[0], Posting(user_account(b"thief-th"), legs[1].amount_credits), legs[2]),
        honest.memo,
    )
    write(path, [*MADE[:5], forged, MADE[6]]).close()
    report = audit(path)
    assert report.broken.seq == 5
    assert report.invariants["I7"] is False
    assert report.invariants["I1"] is True
    assert report.violations[0].seq == 5
    assert any(line.startswith("I7 BROKEN") for line in render_audit(report))


def test_a_journal_in_use_or_left_by_a_killed_writer_is_audited_with_its_log(path, tmp_path):
    journal = write(path, [mint(ANN, 5, board=0, time_ns=4, reason="gift")])
    assert audit(path).count == 8
    left = tmp_path / "left"
    left.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", left)
    journal.close()
    assert (left / "ledger.sqlite-wal").stat().st_size > 0
    assert audit(left / path.name).count == 8
    assert audit(left / path.name).ok
