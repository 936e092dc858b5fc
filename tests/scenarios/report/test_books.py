"""What a report says of the ledger is what the run's own events say."""

from __future__ import annotations

from scenarios.report.books import read_books
from scenarios.trace_file import read_trace


def test_the_sums_are_those_of_the_events(finished):
    books = read_books(finished.directory / "ledger.sqlite")
    events = [event for _, event in read_trace(finished.directory / "events.msgpack")]
    settled = [event for event in events if event[0] == "DownloadSettled"]
    assert books.held == sum(event[4] for event in events if event[0] == "FeeHeld") > 0
    assert books.paid == sum(paid for event in settled for _, paid in event[3]) > 0
    assert books.refunded == sum(event[4] for event in settled)
    assert books.minted == sum(books.users)
    assert len(books.users) == 4
    assert books.transactions["settle"] == len(settled)
    assert not books.trouble


def test_a_ledger_that_is_missing_or_damaged_is_told(tmp_path, finished):
    assert "ledger" in read_books(tmp_path / "ledger.sqlite").trouble
    (tmp_path / "ledger.sqlite").write_bytes(b"garbage" * 1000)
    assert read_books(tmp_path / "ledger.sqlite").trouble
