"""The tracker against bad connections, frames and datagrams: counted by kind, and nothing else changes."""

from __future__ import annotations

import pytest
import trio

from netem.errors import BadFrame
from netem.randomness import keyed_bytes
from tests.tracker.clients import KEYS, SIZE_BYTES, TERMS, Client, D, E, flipped, send
from tracker import messages as m
from tracker.events import EquivocationSeen, FramesDropped
from tracker.identity import Identity
from tracker.session import BOARDS_KEPT


def raw(data):
    async def act(client):
        await client.dial()
        await client.channel._stream.send_all(data)

    return act


def frame(make):
    async def act(client):
        await client.dial()
        await client.channel.send(make(client))

    return act


async def close_at_once(client):
    await (await client.dial()).aclose()


def request_first(client):
    return client.seal(m.GetBalance())


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("oversized", raw(b"\xff\xff\xff\xff")),
        ("oversized", raw((2**20 + 1).to_bytes(4, "big") + b"x" * 100)),
        ("malformed", raw(b"\0\0\0\x05GET /")),
        ("malformed", raw(b"\0\0\0\0")),
        ("closed-early", close_at_once),
        ("unexpected", frame(request_first)),
        ("forged", frame(lambda client: flipped(client.hello()))),
        ("misdirected", frame(lambda client: client.hello(to=bytes(8)))),
        ("bad-join", frame(lambda client: client.hello(upload=float("inf")))),
        ("bad-key", frame(lambda client: Client(client.place, "new").hello(exchange_key=bytes(32)))),
        ("stale-epoch", frame(lambda client: client.hello(exchange_key=KEYS[1]))),
    ],
)
def test_a_bad_connection_is_counted_and_closed_and_the_tracker_goes_on(play, kind, act):
    async def program(place):
        good = await Client(place, "good").join()
        await good.holds()
        before = good.channel
        await place.hit(lambda: act(good), kind)
        if kind != "closed-early":
            assert await good.channel.receive() is None
        good.channel = before
        assert await good.ask(m.GetBalance()) == m.Balance(TERMS.endowment_credits, 0)
        await Client(place, "next").join()

    play(program)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("forged", lambda client: flipped(client.seal(m.GetBalance()))),
        ("replayed", lambda client: client.used),
        ("malformed", lambda client: b"\x02" + bytes(40)),
        ("wrong-epoch", lambda client: Client(client.place, "good", epoch=0).hello()),
        ("misdirected", lambda client: Client(client.place, "else").hello()),
    ],
)
def test_a_bad_frame_on_a_good_connection_ends_it(play, kind, make):
    async def program(place):
        good = await Client(place, "good").join()
        good.used = good.seal(m.GetBalance())
        await good.channel.send(good.used)
        await good.channel.receive()
        data = make(good)
        await place.hit(lambda: good.channel.send(data), kind)
        assert await good.channel.receive() is None
        await good.join()
        assert await good.ask(m.GetBalance()) == m.Balance(TERMS.endowment_credits, 0)

    play(program)


def test_a_connection_that_is_lost_in_mid_frame_is_counted(play):
    async def program(place):
        client = await Client(place, "a").join()
        await client.channel._stream.send_all(b"\0\0\x01\0half")
        await trio.sleep(0.1)
        place.network.crash("a")
        await trio.sleep(0.1)
        assert place.tracker.dropped == {"connection-lost": 1}
        await Client(place, "b").join()

    play(program)


def test_what_is_no_request_gets_a_legal_no_and_the_connection_stays(play):
    async def program(place):
        client = await Client(place, "a").join()
        assert (await client.ask(m.Welcome(KEYS[1], KEYS[1], 0, 0))).reason == "not-a-request"
        assert (await client.ask(m.Hold(9, holds=True))).reason == "unknown-file"
        assert (await client.ask(m.GetBalance())).free_credits == TERMS.endowment_credits

    play(program)


def test_bad_datagrams_are_counted_by_kind_and_change_nothing(play):
    async def program(place):
        server, buyer, liar = [await Client(place, name).join() for name in ("server", "buyer", "liar")]
        index = await server.holds()
        while place.desk.board <= BOARDS_KEPT:
            await trio.sleep(1)
            for client in (server, buyer, liar):
                client.send(client.seal(m.Heartbeat(0, 1, [])))
        buyer.board = place.desk.board
        await buyer.ask(m.Open(D, index))
        beat = m.Heartbeat(0, 1, [(index, 1.0)])
        used = server.seal(beat)
        server.send(used)
        await trio.sleep(0.01)
        stranger = Client(place, "stranger")
        for data, kind in (
            (b"", "malformed"),
            (b"\x01" + bytes(60), "malformed"),
            (b"\x07" * 90, "malformed"),
            (server.seal(beat)[:25], "malformed"),
            (flipped(server.seal(beat)), "forged"),
            (used, "replayed"),
            (server.session.seal(beat, board=0), "expired"),
            (stranger.hello(), "unknown-sender"),
            (server.seal(m.Ok()), "unexpected"),
            (server.seal(m.Heartbeat(0, 1, [(0, 1.0), (1, 0.5)])), "bad-bids"),
            (server.seal(m.Heartbeat(0, 1, [(0, 0.2), (0, 0.2)])), "bad-bids"),
            (server.seal(m.Heartbeat(2, 2, [])), "bad-bids"),
        ):
            await place.hit(lambda data=data: send(liar, data), kind)
        # Receipts inside a good deposit, each bad in its own way.
        for receipt, kind in (
            (b"nonsense", "malformed"),
            (flipped(buyer.receipt(server.node, 10)), "forged"),
            (stranger.receipt(server.node, 10), "unknown-sender"),
            (liar.receipt(server.node, 10), "not-yours"),
            (buyer.receipt(server.node, 10, download=E), "unknown-download"),
            (buyer.receipt(bytes(8), 10), "unknown-server"),
            (buyer.receipt(server.node, SIZE_BYTES + 1), "bad-receipt"),
            (buyer.hello(), "unexpected"),
        ):
            await place.hit(lambda receipt=receipt: send(server, server.seal(m.Deposit([receipt]))), f"receipt-{kind}")
        # One bad receipt does not take the others of its datagram with it.
        server.send(server.seal(m.Deposit([b"nonsense", buyer.receipt(server.node, 10)])))
        await trio.sleep(0.01)
        assert place.desk.market.receipts.totals(D) == {server.node: 10}
        second = buyer.receipt(server.node, 20, count=1)
        await place.hit(lambda: send(server, server.seal(m.Deposit([second]))), "receipt-equivocation")
        assert (await buyer.ask(m.Close(D, [(server.node, 10)]))).settles_ns

    place = play(program)
    (seen,) = place.of(EquivocationSeen)
    assert seen.node == Identity(keyed_bytes(1, "buyer"), epoch=1).node
    (told,) = place.of(FramesDropped)
    assert dict(told.kinds) == place.tracker.dropped


def test_a_replayed_session_frame_over_udp_is_refused_like_any_other(play):
    """A request that came over TCP cannot be said again in a datagram."""

    async def program(place):
        client = await Client(place, "a").join()
        request = client.seal(m.GetBalance())
        await client.channel.send(request)
        await client.channel.receive()
        await place.hit(lambda: send(client, request), "replayed")
        with pytest.raises(BadFrame):
            client.session.open(request, board=0)

    play(program)
