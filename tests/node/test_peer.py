"""A node of the market: what a scenario asks of it, and what it bids."""

from __future__ import annotations

import numpy as np
import pytest
import trio

from netem.errors import LocalProtocolError
from tests.node.worlds import CLEAN, LOSSY, holders, members
from tracker.desk import Terms
from tracker.events import BoardPosted
from tracker.messages import PIECE_BYTES


def test_a_node_may_start_without_credit(play):
    async def program(world):
        await world.join("pauper")
        assert members(world) == ["pauper"]

    play(program, terms=Terms(endowment_credits=0))


def test_a_file_that_is_held_or_on_its_way_is_not_paid_for_twice(play):
    async def program(world):
        seller, buyer = await world.join("seller"), await world.join("buyer")
        index = await seller.publish("f", world.file("f", PIECE_BYTES))
        with pytest.raises(LocalProtocolError):
            await seller.fetch(index)
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(0.2)
        with pytest.raises(LocalProtocolError):
            await buyer.fetch(index)
        await trio.sleep(5)
        with pytest.raises(LocalProtocolError):
            await buyer.fetch(index)

    world = play(program, link=CLEAN)
    world.assert_identical(world.directory / "f")
    assert world.balance("buyer") == -world.terms.fee_credits


def test_a_dropped_file_is_served_no_more_and_can_be_fetched_again(play):
    async def program(world):
        seller, buyer = await world.join("seller"), await world.join("buyer")
        index = await seller.publish("f", world.file("f", PIECE_BYTES))
        await buyer.fetch(index)
        assert holders(world, index) == sorted(["seller", "buyer"], key=lambda name: world.identities[name].node)
        await buyer.drop(index)
        assert holders(world, index) == ["seller"]
        assert not buyer.holds(index)
        await buyer.fetch(index)

    world = play(program, link=CLEAN)
    world.assert_identical(world.directory / "f", copies=2)


@pytest.mark.parametrize(("policy", "follows"), [("proportional_response", True), ("fixed", False)])
def test_the_odds_come_to_the_beliefs_under_proportional_response_and_stay_uniform_under_fixed(play, policy, follows):
    p = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])

    async def program(world):
        paths = [world.file(f"f{number}", 1_000) for number in range(len(p))]
        peers = [await world.join(f"n{number}", policy=policy, prior=p) for number in range(10)]
        for path in paths:
            for peer in peers:
                await peer.publish(path.name, path)
        await trio.sleep(25)

    world = play(program, link=LOSSY)
    # The first board with every file on it, and 20 boards more.
    complete = [event.shares for event in world.of(BoardPosted) if len(event.shares) == len(p)]
    target = p if follows else np.full(len(p), 1 / len(p))
    assert np.abs(np.array(complete[20]) - target).sum() / 2 <= 0.05
    assert np.abs(p - 1 / len(p)).sum() / 2 > 0.2


def test_the_odds_follow_beliefs_that_change(play):
    p = np.array([0.7, 0.2, 0.1])

    async def program(world):
        paths = [world.file(f"f{number}", 1_000) for number in range(len(p))]
        peers = [await world.join(f"n{number}", policy="proportional_response", prior=p) for number in range(4)]
        for peer in peers:
            for path in paths:
                await peer.publish(path.name, path)
        await trio.sleep(12)
        before = world.of(BoardPosted)[-1].shares
        for peer in peers:
            await peer.believe(p[::-1].tolist())
        await trio.sleep(12)
        after = world.of(BoardPosted)[-1].shares
        assert before == pytest.approx(p, abs=0.02)
        assert after == pytest.approx(p[::-1], abs=0.02)

    play(program, link=CLEAN)


def test_files_published_together_are_bid_on_together_whatever_is_heard_meanwhile(play):
    """Who decides once must know all that it chooses from, though boards come while it publishes."""

    async def program(world):
        paths = [world.file(f"f{number}", 1_000) for number in range(20)]
        first = await world.join("first", policy="fixed")
        for path in paths:
            await first.publish(path.name, path)
        late = await world.join("late", policy="fixed")
        await trio.sleep(2)
        np.testing.assert_allclose(late.odds, 1 / len(paths), rtol=1e-6)
        seen = len(world.of(BoardPosted))
        await late.publish_all([(path.name, path) for path in paths])
        assert len(world.of(BoardPosted)) > seen
        assert world.tracker.split(late.node) == {}
        await trio.sleep(3)
        assert len(world.tracker.split(late.node)) == len(paths)

    play(program, link=LOSSY)
