"""Downloads at the tracker, from open to settlement, and requests said again or differently."""

from __future__ import annotations

import pytest
import trio

from netem.clock import S
from netem.randomness import keyed_bytes
from tests.tracker.clients import FEE, TERMS, Client, D, E, F, send
from tracker import messages as m
from tracker.desk import Terms
from tracker.events import DownloadSettled, EquivocationSeen
from tracker.identity import Identity
from tracker.wire import open_signed


def test_a_download_is_held_receipted_closed_and_settled(play):
    async def program(place):
        server, other, buyer = [await Client(place, name).join() for name in ("server", "other", "buyer")]
        index = await server.holds()
        await other.holds()
        opened = await buyer.ask(m.Open(D, index))
        assert opened.fee_credits == FEE
        assert [s.node for s in opened.servers] == sorted([server.node, other.node])
        assert await buyer.ask(m.GetBalance()) == m.Balance(TERMS.endowment_credits - FEE, FEE)
        server.send(server.seal(m.Deposit([buyer.receipt(server.node, 40)])))
        closed = await buyer.ask(m.Close(D, sorted([(server.node, 30), (other.node, 20)])))
        assert closed.settles_ns == pytest.approx(place.clock.now_ns() + 2 * S, abs=1e6)
        # A deposit after the close, in time.
        other.send(other.seal(m.Deposit([buyer.receipt(other.node, 25)])))
        await trio.sleep(2.1)
        assert [place.balance(client) for client in (server, other, buyer)] == [400, 250, -650]
        late = m.Deposit([buyer.receipt(other.node, 60, count=2)])
        await place.hit(lambda: send(other, other.seal(late)), "receipt-unknown-download")

    (settled,) = play(program).of(DownloadSettled)
    assert (settled.how, settled.refund_credits) == ("close", 350)


def test_a_download_that_is_never_closed_settles_by_its_receipts_when_its_hold_expires(play):
    async def program(place):
        server, buyer = await Client(place, "server").join(), await Client(place, "buyer").join()
        index = await server.holds()
        start = trio.current_time()
        await buyer.ask(m.Open(D, index))
        server.send(server.seal(m.Deposit([buyer.receipt(server.node, 40)])))
        await place.tracker.wait_settled()
        assert trio.current_time() - start == pytest.approx(TERMS.hold_s, abs=0.1)
        assert (place.balance(server), place.balance(buyer)) == (400, -400)
        await buyer.join()  # it was silent for so long that it is no member any more
        assert (await buyer.ask(m.Close(D, []))).reason == "unknown-download"
        assert (await buyer.ask(m.Open(D, index))).reason == "id-reused"

    (settled,) = play(program).of(DownloadSettled)
    assert settled.how == "expiry"


def test_the_same_request_said_again_is_answered_alike_and_costs_nothing_more(play):
    async def program(place):
        server, buyer = await Client(place, "server").join(), await Client(place, "buyer").join()
        index = await server.holds()
        first = await buyer.ask(m.Open(D, index))
        again = await buyer.ask(m.Open(D, index))
        assert open_signed(first.order, place.tracker.sign_key) == open_signed(again.order, place.tracker.sign_key)
        assert first.servers == again.servers
        closes = [await buyer.ask(m.Close(D, [(server.node, 100)])) for _ in range(2)]
        assert closes[0] == closes[1]
        await trio.sleep(3)
        assert isinstance(await buyer.ask(m.Close(D, [(server.node, 100)])), m.Closed)
        assert (place.balance(server), place.balance(buyer)) == (FEE, -FEE)

    place = play(program)
    assert len(place.of(DownloadSettled)) == 1
    assert place.of(EquivocationSeen) == []


def test_an_id_that_is_taken_opens_nothing_else(play):
    async def program(place):
        server, buyer, other = [await Client(place, name).join() for name in ("server", "buyer", "other")]
        index, second = await server.holds(0), await server.holds(1)
        await buyer.ask(m.Open(D, index))
        assert (await other.ask(m.Open(D, index))).reason == "download-id-reused"
        assert (await buyer.ask(m.Open(D, second))).reason == "download-id-reused"
        await buyer.ask(m.Close(D, []))
        for _ in range(2):
            assert (await buyer.ask(m.Open(D, index))).reason == "download-id-reused"
            await trio.sleep(3)
        assert place.balance(buyer) == place.balance(other) == 0

    play(program)


def test_a_second_different_close_is_refused_and_told_and_changes_nothing(play):
    async def program(place):
        server, buyer, liar = [await Client(place, name).join() for name in ("server", "buyer", "liar")]
        index = await server.holds()
        await buyer.ask(m.Open(D, index))
        assert (await liar.ask(m.Close(D, []))).reason == "not-yours"
        await buyer.ask(m.Close(D, [(server.node, 70)]))
        for _ in range(2):
            assert (await buyer.ask(m.Close(D, [(server.node, 10)]))).reason == "equivocation"
            assert (await liar.ask(m.Close(D, []))).reason == "not-yours"
            await trio.sleep(3)
        assert place.balance(server) == 700

    place = play(program)
    buyer = Identity(keyed_bytes(1, "buyer"), epoch=1).node
    assert [event.node for event in place.of(EquivocationSeen)] == [buyer, buyer]


def test_without_credit_nothing_opens(play):
    async def program(place):
        server, buyer = await Client(place, "server").join(), await Client(place, "buyer").join()
        index = await server.holds()
        assert isinstance(await buyer.ask(m.Open(D, index)), m.Opened)
        assert (await buyer.ask(m.Open(E, index))).reason == "insufficient"
        await buyer.ask(m.Close(D, []))
        await trio.sleep(3)
        assert isinstance(await buyer.ask(m.Open(F, index)), m.Opened)

    play(program, Terms(fee_credits=FEE, endowment_credits=2 * FEE - 1, hold_s=20))
