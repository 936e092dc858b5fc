"""Progress: told on standard error, seldom, and never by a quiet run."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import trio

from netem.virtual_time import VIRTUAL_EPOCH_NS
from node.events import DownloadFinished, DownloadStarted, DownloadStopped
from scenarios import progress
from scenarios.progress import Progress
from tracker.events import BoardPosted

NODE, DOWNLOAD = b"n" * 8, b"d" * 16


class FollowTrio:
    """A clock that shows trio's time."""

    virtual = False

    def now_ns(self):
        return VIRTUAL_EPOCH_NS + round(trio.current_time() * 1e9)

    def call_at(self, when_ns, callback, *args):
        raise NotImplementedError

    async def run(self):
        raise NotImplementedError


@pytest.fixture
def follow(monkeypatch):
    """Return a function that follows some events for a while."""

    async def run(*events, quiet=False, lasting_s=11.0):
        monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=trio.current_time))
        followed = Progress(FollowTrio(), duration_s=40, quiet=quiet)
        for event in events:
            followed.fold(0, event)
        with trio.move_on_after(lasting_s):
            await followed.run()
        followed.close()

    return run


async def test_a_line_every_five_seconds_tells_how_far_it_is(follow, capsys, autojump_clock):
    await follow(
        DownloadStarted(NODE, DOWNLOAD, 0, 1),
        DownloadStarted(NODE, DOWNLOAD, 0, 1),
        DownloadStarted(NODE, DOWNLOAD, 0, 1),
        DownloadFinished(NODE, DOWNLOAD, 0, bytes(32), 7, 0),
        DownloadStopped(NODE, DOWNLOAD, 0, "stopped", 0),
        BoardPosted(12, [], [], 0),
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "  5.0 of 40 s: board 12, 1 downloads under way, 1 finished",
        " 10.0 of 40 s: board 12, 1 downloads under way, 1 finished",
    ]


async def test_a_terminal_gets_one_live_line_that_is_cleared_at_the_end(follow, capsys, monkeypatch, autojump_clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    await follow(lasting_s=1.2)
    err = capsys.readouterr().err
    assert "\n" not in err
    assert err.count("\r\033[K") == 3
    assert err.endswith("\r\033[K")


async def test_a_quiet_run_tells_nothing(follow, capsys, autojump_clock):
    await follow(DownloadStarted(NODE, DOWNLOAD, 0, 1), quiet=True)
    assert capsys.readouterr() == ("", "")


def test_a_long_reading_is_told_of_from_two_seconds_on(monkeypatch, capsys):
    now_s = iter([0.0, 1.0, 2.1, 2.2, 9.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(now_s)))
    with progress.Reading("events read") as reading:
        for count in (10, 20, 30, 4_000):
            reading.turn(count)
    assert capsys.readouterr().err == "20 events read\n4,000 events read\n"


def test_a_quiet_reading_tells_nothing_but_trouble(monkeypatch, capsys):
    now_s = iter([0.0, 99.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(now_s)))
    with progress.Reading("events read", quiet=True) as reading:
        reading.turn(7)
        reading.say("no report: the disk is full")
    assert capsys.readouterr().err == "no report: the disk is full\n"
