"""A node whose tracker restarts, or that restarts itself."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from netem.channel import FrameChannel
from node.events import DownloadFinished, DownloadStarted, PieceAccepted
from tests.node.worlds import CLEAN, KB, LOSSY, holders, members
from tracker import messages as m
from tracker.bank.audit import audit
from tracker.desk import Terms
from tracker.events import BoardPosted, DownloadSettled, FramesDropped, NodeJoined
from tracker.messages import PIECE_BYTES
from tracker.wire import encode_signed


def test_a_tracker_that_restarts_finds_its_files_and_downloads_and_everybody_finishes(play):
    """An idle server learns of the new boot by the silence, a busy downloader by its connection."""

    async def program(world):
        path = world.file("f", 8 * PIECE_BYTES)
        names = ("a", "b", "buyer", "late")
        a, b, buyer, late = [await world.join(name, upload=150 * KB) for name in names]
        other = await a.publish("other", world.file("other", 9))
        index = await a.publish("f", path)
        assert await b.publish("f", path) == index
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(3)
        posted = [event.board for event in world.of(BoardPosted)]
        await world.restart_tracker(after_s=4)
        assert (members(world), world.of(DownloadFinished)) == ([], [])
        await world.until(DownloadSettled)
        # Each is back, holds what it held, and a file published now has an index of its own.
        assert sorted(members(world)) == sorted(names)
        assert sorted(holders(world, index)) == ["a", "b", "buyer"]
        assert await late.publish("new", world.file("new", 7)) == max(index, other) + 1
        await late.fetch(index)
        after = [event.board for event in world.of(BoardPosted)][len(posted) :]
        assert max(posted) < min(after)
        assert after == list(range(after[0], after[-1] + 1))

    world = play(program, link=LOSSY)
    world.assert_identical(world.directory / "f", copies=2)
    assert world.balance("buyer") + world.balance("late") + world.balance("a") + world.balance("b") == 0
    assert [event.how for event in world.of(DownloadSettled)] == ["close", "close"]
    assert [event.kinds for event in world.of(FramesDropped) if "equivocation" in dict(event.kinds)] == []


@pytest.mark.parametrize("buyer_goes", [True, False])
def test_a_close_or_receipts_from_before_a_restart_of_the_tracker_are_paid_after_it(play, buyer_goes):
    """A close that was acknowledged is kept; receipts are not, but their servers bring them again."""

    async def program(world):
        seller, buyer = [await world.join(name, upload=500 * KB) for name in ("seller", "buyer")]
        index = await seller.publish("f", world.file("f", 8 * PIECE_BYTES))
        if buyer_goes:
            world.spawn("buyer", buyer.fetch, index)
            await trio.sleep(3)
            world.crash("buyer")
        else:
            await buyer.fetch(index)
            world.crash("seller")  # nobody is left who has a receipt
        await trio.sleep(0.5)
        assert world.of(DownloadSettled) == []
        await world.restart_tracker(after_s=40 if buyer_goes else 0.1)

    world = play(program, link=CLEAN, terms=Terms(hold_s=30.0))
    (settled,) = world.of(DownloadSettled)
    assert settled.how == ("expiry" if buyer_goes else "close")
    if buyer_goes:
        pieces = len(world.of(PieceAccepted))
        assert 2 <= pieces < 8
        assert world.balance("seller") in {
            pieces * 125_000,
            (pieces - 1) * 125_000,
        }  # the last receipt may be under way
    else:
        assert world.balance("seller") == world.terms.fee_credits


def test_a_restarted_node_is_a_new_boot_that_serves_what_its_store_has_and_is_not_endowed_again(play):
    async def program(world):
        seller, first, second = [await world.join(name) for name in ("seller", "first", "second")]
        indices = [await seller.publish(name, world.file(name, PIECE_BYTES)) for name in ("f", "g", "h")]
        await first.fetch(indices[2])
        old = first._link
        world.crash("seller")
        world.crash("first")
        await trio.sleep(1)
        world.network.restart("first")
        first = await world.join("first", epoch=2)
        assert first.holds(indices[2])
        assert not first.holds(indices[0])
        # What the dead boot could still say is refused.
        stranger = world.network.add_host("stranger")
        before = Counter(world.tracker.dropped)
        stranger.open_udp(lambda *_: None).send(old.session.seal(m.Heartbeat(0, 1, []), board=0), world.tracker.address)
        channel = FrameChannel(await stranger.connect_tcp(world.tracker.address))
        tracker_node = world.tracker._identity.node
        await channel.send(encode_signed(old._join, identity=old._identity, to=tracker_node, seq=0, board=0))
        assert await channel.receive() is None
        await channel.aclose()
        assert Counter(world.tracker.dropped) - before == {"wrong-epoch": 1, "stale-epoch": 1}
        await second.fetch(indices[2])

    world = play(program, link=CLEAN)
    world.assert_identical(world.directory / "h", copies=2)
    assert [e.epoch for e in world.of(NodeJoined) if world.name_of(e.node) == "first"] == [1, 2]
    assert audit(world.directory / "ledger.sqlite").minted_credits == 3 * world.terms.endowment_credits


def test_what_an_earlier_boot_fetched_is_not_fetched_or_paid_again(play):
    async def program(world):
        seller, first = await world.join("seller"), await world.join("first")
        index = await seller.publish("f", world.file("f", PIECE_BYTES))
        await first.fetch(index)
        world.crash("first")
        await trio.sleep(1)
        world.network.restart("first")
        again = await world.join("first", epoch=2)
        before = world.balance("first")
        del again._roots[index]  # as long as the new boot has not yet come to offer it
        await again.fetch(index)
        assert again.holds(index)
        assert world.balance("first") == before

    assert len(play(program, link=CLEAN).of(DownloadStarted)) == 1


def test_on_real_sockets_too_a_server_that_crashes_comes_back_and_serves_on(play_live):
    async def program(world):
        seller, buyer = await world.join("seller", upload=800 * KB), await world.join("buyer")
        index = await seller.publish("f", world.file("f", 2 * PIECE_BYTES))
        world.spawn("buyer", buyer.fetch, index)
        await world.until(PieceAccepted)
        world.crash("seller")
        await trio.sleep(0.1)
        world.network.restart("seller")
        await world.join("seller", upload=800 * KB, epoch=2)
        await world.until(DownloadFinished)

    world = play_live(program, link=LOSSY)
    world.assert_identical(world.directory / "f")
    assert world.balance("seller") == world.terms.fee_credits
