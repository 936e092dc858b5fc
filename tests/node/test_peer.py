"""A node of the market: restarts, partitions, bidding, and bad input that must not end it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import trio

from netem.channel import FrameChannel
from netem.errors import LocalProtocolError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from node.acquaintances import Acquaintances
from node.events import DownloadFinished
from node.tracker_link import TrackerLink
from tracker import messages as m
from tracker.bank.audit import audit
from tracker.desk import Terms
from tracker.events import BoardPosted, FramesDropped, NodeJoined, NodeLeft
from tracker.identity import Identity
from tracker.messages import PIECE_BYTES
from tracker.session import Session, seal_broadcast
from tracker.wire import encode_block, encode_signed, is_block, peek

KB = 1_000
CLEAN = LinkConfig((Delay(0.02, 0.005),))
LOSSY = LinkConfig((Loss(0.05), Delay(0.02, 0.005)))


def members(world):
    return [world.name_of(member.node) for member in world.tracker._desk.membership.members()]


def holders(world, index):
    return [world.name_of(node) for node in world.tracker._desk.catalogue.servers(index)]


# -- restarts ---------------------------------------------------------------------------------------------------------


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


def test_a_node_may_start_without_credit(play):
    async def program(world):
        await world.join("pauper")
        assert members(world) == ["pauper"]

    play(program, terms=Terms(endowment_credits=0))


# -- partitions from the tracker --------------------------------------------------------------------------------------


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
    assert [(world.name_of(e.node), e.reason) for e in world.of(NodeLeft)][:2] == [("far", "expired"), ("near", "expired")]


def test_a_node_that_holds_nothing_comes_back_too_and_hears_the_odds_again(play):
    async def program(world):
        idle = await world.join("idle")
        with world.network.partition(["idle"], ["tracker"]):
            await trio.sleep(40)
            assert members(world) == []
        await trio.sleep(5)
        assert members(world) == ["idle"]
        assert idle._odds.newest >= world.of(BoardPosted)[-1].board - 1

    play(program, link=CLEAN)


def test_a_download_goes_on_while_its_node_cannot_reach_the_tracker(play):
    async def program(world):
        seller, buyer = await world.join("seller", upload=500 * KB), await world.join("buyer")
        index = await seller.publish("f", world.file("f", 8 * PIECE_BYTES))
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(1)
        with world.network.partition(["buyer"], ["tracker"]):
            await trio.sleep(15)
            assert buyer._downloader._downloads == {} or all(d.swarm.done for d in buyer._downloader._downloads.values())
        await trio.sleep(15)

    world = play(program, link=LOSSY)
    world.assert_identical(world.directory / "f")
    assert world.balance("seller") == world.terms.fee_credits


# -- what a scenario asks ---------------------------------------------------------------------------------------------


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


# -- bidding ----------------------------------------------------------------------------------------------------------


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


# -- bad input --------------------------------------------------------------------------------------------------------


class RawNode:
    """A member of the market whose datagrams are made by hand."""

    async def join(self, world, name):
        host = world.network.add_host(name)
        self.inbox = []
        self.endpoint = host.open_udp(lambda data, source: self.inbox.append(data))
        self.identity = world.identities[name] = Identity(name.encode().ljust(32), epoch=3)
        self.acquaintances = Acquaintances(self.identity, tracker_key=world.tracker.sign_key)
        join = m.Join(self.identity.sign_key, self.identity.exchange_key, *self.endpoint.address, 1.0)
        self.link = TrackerLink(
            host,
            self.identity,
            tracker=world.tracker.address,
            tracker_key=world.tracker.sign_key,
            join=join,
            dropped=Counter(),
        )
        await self.link.connect()
        return self

    def refusals(self):
        """Return the refusals that came."""
        frames = [data for data in self.inbox if not is_block(data) and peek(data).type is m.Refusal]
        self.inbox.clear()
        return [self.acquaintances.open(frame, board=0) for frame in frames]


def order(world, raw, download, index, **changes):
    """Return an order signed by the tracker, for `raw` unless `changes` say otherwise."""
    who = changes.pop("who", raw.identity)
    expires_ns = changes.pop("expires_ns", world.clock.now_ns() + 10**12)
    word = m.Order(download, index, who.node, who.sign_key, who.exchange_key, who.epoch, expires_ns)
    return encode_signed(word, identity=changes.pop("signer", world.tracker._identity), to=m.EVERYBODY, seq=1, board=0)


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


D, E, F = (letter * 16 for letter in (b"d", b"e", b"f"))


def test_bad_datagrams_are_counted_by_kind_and_change_nothing(play):
    async def program(world):
        seller, buyer = await world.join("seller"), await world.join("buyer")
        index = await seller.publish("f", world.file("f", PIECE_BYTES))
        await trio.sleep(35)  # so that there are frames too many boards old
        raw = await RawNode().join(world, "raw")
        session = raw.acquaintances.of_server((await raw.link.ask(m.GetServers(index), m.Servers)).servers[0])
        board, tracker = raw.link.board, world.tracker._identity
        target = seller._uploader._endpoint.address

        def state():
            customers = {d: (c.total_bytes, c.deposits_left) for d, c in seller._uploader._customers.items()}
            return dict(seller._roots), dict(seller._split), customers, seller._uploader.queues.pending, seller._odds.board

        async def send(data, kind=None):
            before, dropped = state(), Counter(seller.dropped)
            raw.endpoint.send(data, target)
            await trio.sleep(0.06)
            assert Counter(seller.dropped) - dropped == ({kind: 1} if kind else {}), kind
            if kind:
                assert state()[:4] == before[:4]

        def seal(message, **changes):
            return session.seal(message, board=changes.get("board", board))

        def request(shown=b"", download=D):
            return m.Request(download, index, [(0, 0, 1)], shown)

        def receipt(server, download=D):
            return m.Receipt(download, server, 1024, 1, bytes(32))

        def odds(identity, first=0, value=0.5):
            page = m.Odds(0, 1, first, np.float32([value]).tobytes(), np.float32([0]).tobytes())
            return seal_broadcast(page, board=seller._odds.newest, identity=identity)

        good = order(world, raw, D, index)
        # No frames at all.
        for garbage in (b"", b"\xff" * 100, b"\x02garbage", seal(request(good))[:30], b"\x01" + bytes(20)):
            await send(garbage, "malformed")
        await send(b"\x01" + bytes(1_100), "oversized")
        await send(encode_block(bytes(32), bytes(8), b"data", piece=0, block=0), "unknown-flow")
        frame = seal(request(good))
        await send(frame[:2] + b"\x09" + frame[3:], "version")
        await send(frame[:3] + b"\x7f" + frame[4:], "unknown-type")
        await send(b"\x03" + frame[1:] + bytes(48), "wrong-kind")
        # Strangers, and orders that are not theirs.
        await send(seal(request()), "unknown-sender")
        await send(seal(request(order(world, raw, D, index, signer=raw.identity))), "forged")
        await send(seal(request(flipped(good))), "forged")
        await send(seal(request(order(world, raw, D, index, who=world.identities["buyer"]))), "misdirected")
        await send(flipped(seal(request(good))), "forged")
        # An honest request, and what may be wrong once the sender is known.
        first = seal(request(good))
        await send(first)
        await send(first, "replayed")
        await send(seal(request(), board=0), "expired")
        await send(seal(request(good, E)), "misdirected")
        other = Session(
            Identity(b"raw".ljust(32), epoch=2),
            peer=seller.node,
            peer_sign_key=seller._identity.sign_key,
            peer_exchange_key=seller._identity.exchange_key,
            peer_epoch=1,
        )
        await send(other.seal(request(good), board=board), "wrong-epoch")
        stray = encode_signed(receipt(seller.node), identity=raw.identity, to=buyer.node, seq=900, board=board)
        await send(stray, "misdirected")
        await send(seal(receipt(buyer.node)), "misdirected")
        await send(seal(receipt(seller.node, F)), "misdirected")
        await send(flipped(seal(receipt(seller.node))), "forged")
        await send(seal(m.Done(F)), "misdirected")
        await send(seal(m.Ok()), "unexpected")
        await send(seal(m.Reject("not-a-member")), "misdirected")
        # Odds: by somebody else, for somebody, impossible, and two of one number.
        await send(odds(raw.identity), "forged")
        page = m.Odds(0, 1, 0, np.float32([1]).tobytes(), np.float32([0]).tobytes())
        await send(encode_signed(page, identity=tracker, to=seller.node, seq=4096 * 900, board=900), "misdirected")
        await send(odds(tracker, value=np.nan), "malformed")
        await send(odds(tracker, first=3), "malformed")
        await send(odds(tracker, value=0.5), "equivocation")
        assert seller._odds.shares == [1.0]
        assert sum(map(is_block, raw.inbox)) == 1
        # A legal no is said, not counted.
        for download, shown, reason in (
            (F, b"", "no-order"),
            (E, order(world, raw, E, index, expires_ns=world.clock.now_ns()), "expired"),
            (F, order(world, raw, F, index + 1), "not-held"),
        ):
            await send(seal(request(shown, download)))
            assert raw.refusals() == [m.Refusal(download, reason)]
        await send(seal(receipt(seller.node)))
        assert seller._uploader._customers[D].total_bytes == 1024
        await buyer.fetch(index)

    world = play(program)
    world.assert_identical(world.directory / "f")
    told = {event.where: dict(event.kinds) for event in world.of(FramesDropped)}
    assert told[world.identities["seller"].node.hex()]["equivocation"] == 1


def test_forged_blocks_and_words_of_strangers_do_no_harm_to_a_download(play):
    async def program(world):
        seller, buyer = await world.join("seller", upload=500 * KB), await world.join("buyer")
        index = await seller.publish("f", world.file("f", 4 * PIECE_BYTES))
        raw = await RawNode().join(world, "raw")
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(0.5)
        target = buyer._uploader._endpoint.address
        me = m.Server(buyer.node, buyer._identity.sign_key, buyer._identity.exchange_key, 1, *target)
        session = raw.acquaintances.of_server(me)
        (download,) = buyer._downloader._downloads
        (flow,) = buyer._downloader._flows
        for block in range(100):
            raw.endpoint.send(encode_block(session.key, flow, bytes(1024), piece=block % 4, block=block), target)
        for message in (m.Refusal(download, "not-held"), m.Queued(download, 2**61)):
            raw.endpoint.send(session.seal(message, board=0), target)
        await trio.sleep(10)
        assert buyer.dropped == {"forged": 100, "unknown-sender": 2}

    world = play(program, link=CLEAN)
    world.assert_identical(world.directory / "f")
    assert world.of(DownloadFinished)[0].wasted_blocks == 0
