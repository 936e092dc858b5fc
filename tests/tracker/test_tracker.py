"""The tracker against clients made by hand: joins, the board, downloads and money, and whatever the network may throw at it."""

from __future__ import annotations

import struct
from collections import Counter

import pytest
import trio

from netem.channel import FrameChannel
from netem.clock import S
from netem.errors import BadFrame
from netem.network import Network
from netem.randomness import keyed_bytes
from netem.virtual_time import VirtualTime, schedule_deterministically
from tracker import messages as m
from tracker.bank.audit import audit
from tracker.bank.bank import Bank
from tracker.bank.transactions import user_account
from tracker.desk import Terms
from tracker.events import BoardPosted, DownloadSettled, EquivocationSeen, FileHeld, FramesDropped, NodeJoined, NodeLeft
from tracker.identity import Identity
from tracker.manifest import manifest_root
from tracker.session import BOARDS_KEPT, Session, open_broadcast
from tracker.tracker import Tracker
from tracker.wire import encode_signed, open_signed, peek

FEE = 1_000
TERMS = Terms(fee_credits=FEE, endowment_credits=10 * FEE, hold_s=20.0)
D, E, F = (letter * 16 for letter in (b"d", b"e", b"f"))
SIZE_BYTES = 100
KEYS = [bytes([number]) * 32 for number in range(9)]


def manifest(number=0):
    name, pieces = f"file {number}", [bytes(32)]
    return m.Manifest(name, SIZE_BYTES, pieces, manifest_root(name, SIZE_BYTES, pieces))


class Client:
    """One boot of a node, with its control connection and a UDP socket."""

    def __init__(self, place, name, *, epoch=1):
        network = place.network
        self.host = network.hosts.get(name) or network.add_host(name)
        self.identity = Identity(keyed_bytes(1, name), epoch=epoch)
        self.node, self.inbox = self.identity.node, []
        self.endpoint = self.host.open_udp(lambda data, source: self.inbox.append(data))
        self.place, self.tracker = place, place.tracker
        self.board = 0

    def hello(self, *, to=None, exchange_key=None, upload=1_000.0):
        me = self.identity
        join = m.Join(me.sign_key, exchange_key or me.exchange_key, *self.endpoint.address, upload)
        return encode_signed(join, identity=me, to=to or self.place.identity.node, seq=0, board=0)

    async def dial(self):
        self.channel = FrameChannel(await self.host.connect_tcp(self.tracker.address))
        return self.channel

    async def join(self):
        await (await self.dial()).send(self.hello())
        welcome = open_signed(await self.channel.receive(), self.tracker.sign_key)
        if not hasattr(self, "session"):
            self.session = Session(
                self.identity,
                peer=self.place.identity.node,
                peer_sign_key=welcome.sign_key,
                peer_exchange_key=welcome.exchange_key,
                peer_epoch=1,
            )
        self.board = welcome.board
        return self

    async def ask(self, message):
        await self.channel.send(self.session.seal(message, board=self.board))
        frame = await self.channel.receive()
        return None if frame is None else self.session.open(frame, board=0)

    async def holds(self, number=0):
        return (await self.ask(m.Publish(manifest(number)))).index

    def seal(self, message):
        return self.session.seal(message, board=self.place.desk.board)

    def send(self, data):
        self.endpoint.send(data, self.tracker.address)

    def receipt(self, server, total_bytes, *, download=D, count=1):
        word = m.Receipt(download, server, total_bytes, count, bytes(32))
        return encode_signed(word, identity=self.identity, to=server, seq=9, board=0)

    def odds(self):
        boards = [data for data in self.inbox if peek(data).type is m.Odds]
        return [open_broadcast(data, self.tracker.sign_key) for data in boards]


class Place:
    """A network with a tracker; every event is kept."""

    def __init__(self, directory, clock, terms):
        self.clock, self.events, self.directory = clock, [], directory
        self.network = Network(clock, run_seed=1)
        self.identity = Identity(keyed_bytes(1, "tracker"), epoch=1)
        self.bank = Bank(directory / "ledger.sqlite", clock)
        self.tracker = Tracker(
            self.network.add_host("tracker"),
            clock,
            identity=self.identity,
            bank=self.bank,
            emit=self.events.append,
            terms=terms,
        )
        self.desk = self.tracker._desk

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def balance(self, client):
        return self.bank.ledger.balance(user_account(client.node)) - self.tracker._terms.endowment_credits

    def members(self):
        return {member.node for member in self.desk.membership.members()}

    def state(self):
        """Return what bad input must leave alone."""
        market = self.desk.market
        return (
            [(member.node, member.epoch, member.split, member.seen_ns) for member in self.desk.membership.members()],
            [self.desk.catalogue.servers(index) for index in range(len(self.desk.catalogue))],
            {download: market.receipts.totals(download) for download in market.downloads},
            dict(market.closes),
            self.bank.ledger.balances(),
        )

    async def hit(self, send, kind):
        """Do something that must be counted under `kind` and change nothing else."""
        state, dropped = self.state(), Counter(self.tracker.dropped)
        closed = await send()
        await trio.sleep(0.01)
        assert Counter(self.tracker.dropped) - dropped == {kind: 1}, kind
        assert self.state() == state, kind
        return closed


@pytest.fixture
def play(tmp_path):
    """Run `program(place)` in virtual time; then everything must be settled and the journal sound."""

    def run(program, terms=TERMS):
        schedule_deterministically(1)
        clock = VirtualTime()
        place = Place(tmp_path, clock, terms)

        async def main():
            async with trio.open_nursery() as ground:
                ground.start_soon(clock.run)
                await ground.start(place.network.run)
                async with trio.open_nursery() as services:
                    await services.start(place.tracker.run)
                    with trio.fail_after(200):
                        await program(place)
                        await place.tracker.wait_settled()
                    services.cancel_scope.cancel()
                ground.cancel_scope.cancel()

        trio.run(main, clock=clock)
        place.bank.close()
        report = audit(tmp_path / "ledger.sqlite")
        assert report.ok
        assert report.held_credits == 0
        return place

    return run


# -- taking part ------------------------------------------------------------------------------------------------------


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
    monkeypatch.setattr("tracker.tracker.FAN_OUT", at_once)
    monkeypatch.setattr("tracker.tracker.FAN_OUTS", most)

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


async def send(client, data):
    client.send(data)


def test_a_later_boot_holds_nothing_until_it_says_so(play):
    async def program(place):
        old, other = await Client(place, "a").join(), await Client(place, "b").join()
        index = await old.holds()
        new = await Client(place, "a", epoch=2).join()
        assert await other.ask(m.GetServers(index)) == m.Servers([])
        await new.ask(m.Hold(index, holds=True))
        assert [s.epoch for s in (await other.ask(m.GetServers(index))).servers] == [2]

    assert [event.holds for event in play(program).of(FileHeld)] == [True, False, True]


# -- bad input over TCP -----------------------------------------------------------------------------------------------


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


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


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


# -- bad input over UDP -----------------------------------------------------------------------------------------------


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


# -- downloads --------------------------------------------------------------------------------------------------------


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
