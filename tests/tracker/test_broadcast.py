"""The board against clients made by hand: who hears which, and when."""

from __future__ import annotations

import struct

import pytest
import trio

from tests.tracker.clients import Client
from tracker import messages as m
from tracker.events import BoardPosted


def test_every_member_hears_every_board(play):
    async def program(place):
        a, b = await Client(place, "a").join(), await Client(place, "b").join()
        await a.holds(0)
        await a.holds(1)
        a.send(a.seal(m.Heartbeat(0, 1, [(0, 0.75), (1, 0.25)])))
        await trio.sleep(5.5)
        assert [number for number, _ in a.odds()] == [1, 2, 3, 4, 5]
        assert a.odds() == b.odds()
        assert struct.unpack("<2f", a.odds()[-1][1].shares) == (0.75, 0.25)

    assert [event.servers for event in play(program).of(BoardPosted)] == [2] * 5


def test_odds_that_are_withheld_from_a_member_reach_the_others_and_it_again_later(play):
    async def program(place):
        a, b = await Client(place, "a").join(), await Client(place, "b").join()
        await trio.sleep(2.5)
        place.tracker.withhold_odds([a.node])
        await trio.sleep(2)
        place.tracker.withhold_odds([])
        await trio.sleep(1)
        assert [number for number, _ in a.odds()] == [1, 2, 5]
        assert [number for number, _ in b.odds()] == [1, 2, 3, 4, 5]

    assert [event.servers for event in play(program).of(BoardPosted)] == [2] * 5


@pytest.mark.parametrize(("at_once", "most", "apart_ms"), [(20, 50, 0), (1, 50, 40), (1, 3, 20), (2, 50, 20)])
def test_a_large_swarm_hears_a_board_in_turns(play, monkeypatch, *, at_once, most, apart_ms):
    monkeypatch.setattr("tracker.broadcast.FAN_OUT", at_once)
    monkeypatch.setattr("tracker.broadcast.FAN_OUTS", most)

    async def program(place):
        clients = [await Client(place, str(number)).join() for number in range(5)]
        heard_s = {}
        while len(heard_s) < len(clients):
            await trio.sleep(0.001)
            for client in clients:
                if client.inbox:
                    heard_s.setdefault(client.node, trio.current_time())
        assert (max(heard_s.values()) - min(heard_s.values())) * 1000 == pytest.approx(apart_ms, abs=3)

    play(program)
