"""The claims of every scenario can fail: each is broken here in the way that it guards against."""

from __future__ import annotations

import hashlib

import pytest

from node.events import DownloadFinished, PieceAccepted
from scenarios.claims import Record, Trace
from scenarios.content import Shared
from scenarios.shared_claims import byte_identical, fees_conserved, payouts_match_trace
from tracker.events import DownloadSettled, FeeHeld, FilePublished

ANN, BOB, CAT = b"a" * 8, b"b" * 8, b"c" * 8
DOWNLOAD, OTHER = b"d" * 16, b"e" * 16
BYTES = b"x" * 1000
FEE = 1_000


@pytest.fixture
def record(tmp_path):
    """Return a function that makes a record of one honest download, with some events replaced or added."""
    path = tmp_path / "file"
    path.write_bytes(BYTES)

    def make(*changes, ledger_ok=True):
        honest = [
            FilePublished(0, "a file", len(BYTES), bytes(32), BOB),
            FeeHeld(DOWNLOAD, 0, ANN, FEE),
            PieceAccepted(ANN, DOWNLOAD, 0, 0, [(BOB, 600), (CAT, 300)]),
            DownloadFinished(ANN, DOWNLOAD, 0, hashlib.sha256(BYTES).digest(), 1, 0),
            DownloadSettled(DOWNLOAD, "close", [(BOB, 600), (CAT, 300)], 100),
        ]
        replaced = {type(change) for change in changes}
        trace = Trace()
        for event in [event for event in honest if type(event) not in replaced] + list(changes):
            trace.fold(0, event)
        facts = {"files": [Shared("a file", path, len(BYTES))]}
        return Record(
            params=None,
            trace=trace,
            started_ns=0,
            certificate=None,
            facts=facts,
            ledger_ok={"I1": True, "I5": ledger_ok},
        )

    return make


@pytest.mark.parametrize("claim", [byte_identical, fees_conserved, payouts_match_trace])
def test_an_honest_download_holds(record, claim):
    assert claim(record()).ok


def test_one_wrong_byte_fails(record):
    wrong = hashlib.sha256(BYTES[:-1] + b"y").digest()
    claim = byte_identical(record(DownloadFinished(ANN, DOWNLOAD, 0, wrong, 1, 0)))
    assert (claim.predicted, claim.measured, claim.ok) == (1, 0, False)


def test_a_source_that_is_gone_fails_with_its_name(record):
    kept = record()
    kept.facts["files"][0].path.unlink()
    claim = byte_identical(kept)
    assert (claim.predicted, claim.measured, claim.ok) == (1, 0, False)
    assert "'a file'" in claim.note


@pytest.mark.parametrize(
    "settled",
    [
        [DownloadSettled(DOWNLOAD, "close", [(BOB, 600), (CAT, 300)], 99)],
        [DownloadSettled(DOWNLOAD, "close", [(BOB, 601), (CAT, 300)], 100)],
        # Twice is as bad as not at all, even when the sums would agree.
        [DownloadSettled(DOWNLOAD, "close", [(BOB, 600)], 0), DownloadSettled(DOWNLOAD, "close", [(CAT, 400)], 0)],
        [
            DownloadSettled(OTHER, "close", [(BOB, 600), (CAT, 300)], 100),
            FeeHeld(DOWNLOAD, 0, ANN, FEE),
            FeeHeld(OTHER, 0, ANN, 0),
        ],
    ],
    ids=["lost", "made", "twice", "never"],
)
def test_a_credit_lost_or_made_fails(record, settled):
    assert fees_conserved(record(*settled)).ok is False


def test_a_broken_ledger_fails_and_is_named(record):
    claim = fees_conserved(record(ledger_ok=False))
    assert claim.ok is False
    assert "I5" in claim.note


@pytest.mark.parametrize(
    "payouts", [[(BOB, 601), (CAT, 299)], [(CAT, 900)], [(ANN, 900)]], ids=["shifted", "unpaid", "usurped"]
)
def test_paying_for_what_was_not_delivered_fails(record, payouts):
    changed = record(DownloadSettled(DOWNLOAD, "close", payouts, 100))
    assert fees_conserved(changed).ok  # the sums agree: it takes the trace to see it
    assert payouts_match_trace(changed).ok is False


def test_a_run_without_downloads_proves_nothing(record):
    empty = record()
    empty.trace.by_type.clear()
    for claim in (byte_identical(empty), fees_conserved(empty), payouts_match_trace(empty)):
        assert claim.ok is False
