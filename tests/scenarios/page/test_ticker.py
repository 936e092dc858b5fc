"""What happened, as the live page tells it: names that people know, one line for many, old lines forgotten."""

from __future__ import annotations

from netem.clock import S
from netem.faults import FaultMade
from node.events import DownloadFinished, PieceAccepted
from scenarios.page.ticker import KEPT_LINES, MOST_OF_A_KIND, Ticker
from tracker.events import FilePublished, NodeJoined

A, B = b"a" * 8, b"b" * 8


def test_an_event_is_told_with_the_names_that_people_know():
    ticker = Ticker(started_ns=10 * S)
    ticker.names[A] = "node-0"
    ticker.fold(11 * S, FilePublished(2, "folder/great.py", 100, b"root", A))
    ticker.fold(12 * S, DownloadFinished(A, b"d", 2, b"hash", 5, 1))
    ticker.fold(12 * S, PieceAccepted(A, b"d", 2, 0, [(B, 10)]))
    ticker.turn()
    assert ticker.since(0) == [
        {
            "number": 1,
            "at_s": 1.0,
            "kind": "FilePublished",
            "text": "file published: file 2 (great.py), folder/great.py, size bytes 100, node-0",
        },
        {
            "number": 2,
            "at_s": 2.0,
            "kind": "DownloadFinished",
            "text": "download finished: node-0, file 2 (great.py), blocks 5, wasted blocks 1",
        },
    ]
    assert ticker.since(2) == []


def test_many_events_of_a_kind_become_one_line():
    ticker = Ticker(started_ns=0)
    for number in range(MOST_OF_A_KIND + 1):
        ticker.fold(number * S, NodeJoined(A, 1))
    ticker.fold(9 * S, FaultMade("partition", "a <> b"))
    ticker.turn()
    texts = [line["text"] for line in ticker.since(0)]
    assert texts == [f"node joined: {MOST_OF_A_KIND + 1} times", "fault made: partition, a <> b"]


def test_old_lines_are_forgotten():
    ticker = Ticker(started_ns=0)
    for number in range(KEPT_LINES + 10):
        ticker.fold(number, NodeJoined(A, number))
        ticker.turn()
    assert [line["number"] for line in ticker.since(0)] == list(range(11, KEPT_LINES + 11))
