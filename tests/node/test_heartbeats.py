"""A node that is cut off from the tracker, and how it comes back."""

from __future__ import annotations

import pytest
import trio

from tests.node.worlds import CLEAN, KB, LOSSY, holders, members
from tracker.events import BoardPosted, NodeLeft
from tracker.messages import PIECE_BYTES


@pytest.mark.parametrize("busy", [False, True])
def test_a_server_cut_off_from_the_tracker_expires_and_comes_back_by_itself(play, busy):
    """For longer than a frame is valid; and also when a request of its own reconnects before a heartbeat tells it."""

    async def program(world):
        near, far, buyer = [await world.join(name) for name in ("near", "far", "buyer")]
        path = world.file("f", PIECE_BYTES)
        index = await near.publish("f", path)
        await far.publish("f", path)
        with world.network.partition(["far"], ["tracker"]):
            if busy:
                world.spawn("far", far.balance)
            await trio.sleep(60)
            assert members(world) == sorted(["near", "buyer"], key=lambda name: world.identities[name].node)
            assert holders(world, index) == ["near"]
        await trio.sleep(5)
        assert "far" in members(world)
        world.crash("near")
        await trio.sleep(12)
        assert holders(world, index) == ["far"]
        await buyer.fetch(index)

    world = play(program, link=LOSSY)
    world.assert_identical(world.directory / "f")
    assert world.balance("far") == world.terms.fee_credits
    assert [(world.name_of(e.node), e.reason) for e in world.of(NodeLeft)][:2] == [
        ("far", "expired"),
        ("near", "expired"),
    ]


def test_a_node_that_holds_nothing_comes_back_too_and_hears_the_odds_again(play):
    async def program(world):
        idle = await world.join("idle")
        with world.network.partition(["idle"], ["tracker"]):
            await trio.sleep(40)
            assert members(world) == []
        await trio.sleep(5)
        assert members(world) == ["idle"]
        assert idle._bidding.odds.newest >= world.of(BoardPosted)[-1].board - 1

    play(program, link=CLEAN)


def test_a_download_goes_on_while_its_node_cannot_reach_the_tracker(play):
    async def program(world):
        seller, buyer = await world.join("seller", upload=500 * KB), await world.join("buyer")
        index = await seller.publish("f", world.file("f", 8 * PIECE_BYTES))
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(1)
        with world.network.partition(["buyer"], ["tracker"]):
            await trio.sleep(15)
            assert buyer._downloader._downloads == {} or all(
                d.swarm.done for d in buyer._downloader._downloads.values()
            )
        await trio.sleep(15)

    world = play(program, link=LOSSY)
    world.assert_identical(world.directory / "f")
    assert world.balance("seller") == world.terms.fee_credits
