"""The tracker against clients made by hand: who takes part."""

from __future__ import annotations

import pytest
import trio

from tests.tracker.clients import TERMS, Client, send
from tracker import messages as m
from tracker.bank.audit import audit
from tracker.desk import Terms
from tracker.events import FileHeld, NodeJoined, NodeLeft
from tracker.session import BOARDS_KEPT


@pytest.mark.parametrize("endowment", [0, 5])
def test_a_node_that_joins_is_welcomed_and_endowed_once(play, endowment):
    async def program(place):
        client = Client(place, "a")
        for _ in range(2):
            await client.join()
            assert await client.ask(m.GetBalance()) == m.Balance(endowment, 0)
        await Client(place, "a", epoch=2).join()
        assert place.members() == {client.node}

    place = play(program, Terms(endowment_credits=endowment))
    assert [event.epoch for event in place.of(NodeJoined)] == [1, 2]  # connecting anew is no news
    assert audit(place.directory / "ledger.sqlite").minted_credits == endowment


def test_a_silent_node_expires_is_dropped_as_a_server_and_is_told_when_it_speaks_again(play):
    async def program(place):
        server, other = await Client(place, "s").join(), await Client(place, "o").join()
        index = await server.holds()
        for beat in range(45):
            await trio.sleep(1)
            other.send(other.seal(m.Heartbeat(0, 1, [])))
            if beat != TERMS.member_timeout_s:  # at that moment either is right
                assert (server.node in place.members()) == (beat < TERMS.member_timeout_s)
        other.board = place.desk.board
        assert await other.ask(m.GetServers(index)) == m.Servers([])
        # Its heartbeat is too many boards old to be opened, and yet must be answered.
        assert place.desk.board - server.board > BOARDS_KEPT
        server.inbox.clear()
        server.send(server.session.seal(m.Heartbeat(0, 1, []), board=server.board))
        await trio.sleep(0.01)
        (frame,) = server.inbox
        assert server.session.open(frame, board=0) == m.Reject("not-a-member")
        # Its old connection is closed: what it asked over it would make it hold files and be no server.
        server.board = place.desk.board
        assert await server.channel.receive() is None
        await server.join()
        await server.ask(m.Hold(index, holds=True))
        assert [s.node for s in (await other.ask(m.GetServers(index))).servers] == [server.node]

    place = play(program)
    assert [event.reason for event in place.of(NodeLeft)] == ["expired"]
    assert place.tracker.dropped == {"replaced": 1}


def test_a_node_that_leaves_is_gone_at_once_and_that_boot_for_ever(play):
    async def program(place):
        client = await Client(place, "a").join()
        index = await client.holds()
        assert await client.ask(m.Leave()) is None
        assert place.members() == set()
        assert place.desk.catalogue.servers(index) == []
        await (await client.dial()).send(client.hello())
        assert await client.channel.receive() is None
        assert place.tracker.dropped == {"stale-epoch": 1}

    assert [event.reason for event in play(program).of(NodeLeft)] == ["leave"]


def test_an_earlier_boot_can_neither_speak_for_a_later_one_nor_make_it_leave(play):
    async def program(place):
        old = await Client(place, "a").join()
        await old.holds()
        new = await Client(place, "a", epoch=2).join()
        assert await old.channel.receive() is None
        await old.dial()
        await place.hit(lambda: old.channel.send(old.hello()), "stale-epoch")
        await place.hit(lambda: send(old, old.seal(m.Heartbeat(0, 1, []))), "wrong-epoch")
        assert await new.ask(m.GetBalance()) == m.Balance(TERMS.endowment_credits, 0)

    assert play(program).of(NodeLeft) == []


def test_a_later_boot_holds_nothing_until_it_says_so(play):
    async def program(place):
        old, other = await Client(place, "a").join(), await Client(place, "b").join()
        index = await old.holds()
        new = await Client(place, "a", epoch=2).join()
        assert await other.ask(m.GetServers(index)) == m.Servers([])
        await new.ask(m.Hold(index, holds=True))
        assert [s.epoch for s in (await other.ask(m.GetServers(index))).servers] == [2]

    assert [event.holds for event in play(program).of(FileHeld)] == [True, False, True]
