"""When a download is looked at, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from netem.clock import S, TimerHeap
from node.download import Download, Source
from node.pace import NEVER_NS
from node.receiving import Receiving
from node.swarm import Progress
from tracker.blocks import block_digest, encode_block

DIGEST, FLOW, DOWNLOAD, SERVER = block_digest(bytes(32)), b"f" * 8, b"d" * 16, b"s" * 8
BLOCK = encode_block(DIGEST, FLOW, b"data", piece=0, block=0)


class LookedAt:
    """A swarm that notes when it is looked at; `nearer_ns` is what the next block tells it."""

    hungry = True

    def __init__(self, clock, *, every_ns):
        self.clock, self.every_ns, self.looks_ns, self.nearer_ns = clock, every_ns, [], NEVER_NS

    def requests(self, now_ns):
        self.looks_ns.append(now_ns)
        return []

    def next_check_ns(self):
        return self.clock.ns + self.every_ns

    def requests_for(self, server, now_ns):
        return None

    def on_block(self, server, piece, block, *, data, now_ns):
        return Progress.IGNORED


@pytest.fixture
def world():
    timers = TimerHeap()
    clock = SimpleNamespace(ns=0, now_ns=lambda: clock.ns, call_at=lambda at, *call: timers.push(at, call[0], call[1:]))
    receiving = Receiving(None, clock, None, node=b"n" * 8, link=None, emit=None)
    swarm = LookedAt(clock, every_ns=S)
    download = Download(DOWNLOAD, 0, None, swarm, None, b"", None, receipts_due_ns=NEVER_NS)
    source = Source(SERVER, SimpleNamespace(block_digest=DIGEST), ("10.0.0.1", 1), FLOW)
    receiving._downloads[DOWNLOAD] = download
    receiving._flows[FLOW] = download, source
    receiving._check(download)

    def take(now_ns, *, nearer_ns):
        clock.ns, swarm.nearer_ns = now_ns, nearer_ns
        receiving.on_block(BLOCK)

    def fire(now_ns):
        clock.ns = now_ns
        timers.fire_until(now_ns, most=100)
        return swarm.looks_ns

    return SimpleNamespace(take=take, fire=fire, looks_ns=swarm.looks_ns)


def test_a_deadline_that_comes_nearer_is_looked_at_then_and_not_again_when_it_was_before(world):
    world.take(S // 10, nearer_ns=S // 2)
    assert world.fire(S // 2) == [0, S // 2]
    assert world.fire(S) == [0, S // 2]
    assert world.fire(2 * S) == [0, S // 2, 2 * S]


def test_a_deadline_beyond_the_next_look_changes_nothing(world):
    world.take(S // 10, nearer_ns=2 * S)
    assert world.fire(S) == [0, S]


def test_a_look_that_is_overdue_is_not_put_off(world):
    """As after a pause, or on a busy host: the block is handled before the timer."""
    world.take(S + 1, nearer_ns=S + S // 2)
    assert world.fire(S + 2) == [0, S + 2]
