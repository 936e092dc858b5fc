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
from node.events import DownloadFinished, DownloadStarted, PieceAccepted
from node.tracker_link import TrackerLink
from tracker import messages as m
from tracker.bank.audit import audit
from tracker.desk import Terms
from tracker.events import BoardPosted, DownloadSettled, FramesDropped, NodeJoined, NodeLeft
from tracker.identity import Identity
from tracker.messages import PIECE_BYTES
from tracker.odds import FILES_PER_PAGE
from tracker.session import Session, seal_broadcast
from tracker.wire import BLOCK_BYTE, block_digest, encode_block, encode_signed, peek

KB = 1_000
CLEAN = LinkConfig((Delay(0.02, 0.005),))
LOSSY = LinkConfig((Loss(0.05), Delay(0.02, 0.005)))


def members(world):
    return [world.name_of(member.node) for member in world.tracker._desk.membership.members()]


def holders(world, index):
    return [world.name_of(node) for node in world.tracker._desk.catalogue.servers(index)]


# -- restarts ---------------------------------------------------------------------------------------------------------


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
        frames = [data for data in self.inbox if not data.startswith(BLOCK_BYTE) and peek(data).type is m.Refusal]
        self.inbox.clear()
        return [self.acquaintances.open(frame, peek(frame), board=0) for frame in frames]


def order(world, raw, download, index, **changes):
    """Return an order signed by the tracker, for `raw` unless `changes` say otherwise."""
    who = changes.pop("who", raw.identity)
    expires_ns = changes.pop("expires_ns", world.clock.now_ns() + 10**12)
    word = m.Order(download, index, who.node, who.sign_key, who.exchange_key, who.epoch, expires_ns)
    return encode_signed(word, identity=changes.pop("signer", world.tracker._identity), to=m.EVERYBODY, seq=1, board=0)


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


D, E, F = (letter * 16 for letter in (b"d", b"e", b"f"))


class Siege:
    """A seller, and a raw node that sends it what it should not."""

    async def prepare(self, world):
        self.world = world
        self.seller, self.buyer = await world.join("seller"), await world.join("buyer")
        self.index = await self.seller.publish("f", world.file("f", PIECE_BYTES))
        await trio.sleep(35)  # so that there are frames too many boards old
        self.raw = await RawNode().join(world, "raw")
        servers = await self.raw.link.ask(m.GetServers(self.index), m.Servers)
        self.session = self.raw.acquaintances.of_server(servers.servers[0])
        return self

    def state(self):
        """Return what bad input must leave alone."""
        uploader, seller = self.seller._uploader, self.seller
        customers = {download: (c.total_bytes, c.deposits_left) for download, c in uploader._customers.items()}
        return dict(seller._roots), dict(seller._bidding.split), customers, uploader.queues.pending

    async def send(self, data, kind=None):
        """Send a datagram that must be counted under `kind` and change nothing, or is good."""
        before, dropped = self.state(), Counter(self.seller.dropped)
        self.raw.endpoint.send(data, self.seller._uploader._endpoint.address)
        await trio.sleep(0.06)
        assert Counter(self.seller.dropped) - dropped == ({kind: 1} if kind else {}), kind
        assert not kind or self.state() == before

    async def finish(self):
        """Check that the seller still works."""
        await self.buyer.fetch(self.index)

    def seal(self, message, board=None):
        return self.session.seal(message, board=self.raw.link.board if board is None else board)

    def request(self, shown=b"", download=D):
        return m.Request(download, self.index, [(0, 0, 1)], shown)

    def order(self, download=D, **changes):
        return order(self.world, self.raw, download, changes.pop("index", self.index), **changes)


def receipt(server, download=D):
    return m.Receipt(download, server, 1024, 1, bytes(32))


def test_garbage_and_strangers_are_counted_by_kind_and_change_nothing(play):
    async def program(world):
        siege = await Siege().prepare(world)
        frame = siege.seal(siege.request(siege.order()))
        for garbage in (b"", b"\xff" * 100, b"\x02garbage", frame[:30], b"\x01" + bytes(20)):
            await siege.send(garbage, "malformed")
        await siege.send(b"\x01" + bytes(1_100), "oversized")
        await siege.send(encode_block(block_digest(bytes(32)), bytes(8), b"data", piece=0, block=0), "unknown-flow")
        await siege.send(frame[:2] + b"\x09" + frame[3:], "version")
        await siege.send(frame[:3] + b"\x7f" + frame[4:], "unknown-type")
        await siege.send(b"\x03" + frame[1:] + bytes(48), "wrong-kind")
        await siege.send(siege.seal(siege.request()), "unknown-sender")
        await siege.send(siege.seal(siege.request(siege.order(signer=siege.raw.identity))), "forged")
        await siege.send(siege.seal(siege.request(flipped(siege.order()))), "forged")
        await siege.send(siege.seal(siege.request(siege.order(who=world.identities["buyer"]))), "misdirected")
        await siege.send(flipped(frame), "forged")
        await siege.finish()

    world = play(program)
    world.assert_identical(world.directory / "f")


def test_bad_frames_of_somebody_known_are_counted_by_kind_and_change_nothing(play):
    async def program(world):
        siege = await Siege().prepare(world)
        seller, raw, seal, request = siege.seller, siege.raw, siege.seal, siege.request
        good = siege.order()
        first = seal(request(good))
        await siege.send(first)
        await siege.send(first, "replayed")
        await siege.send(seal(request(), board=0), "expired")
        await siege.send(seal(request(good, E)), "misdirected")
        earlier = Session(
            Identity(b"raw".ljust(32), epoch=2),
            peer=seller.node,
            peer_sign_key=seller._identity.sign_key,
            peer_exchange_key=seller._identity.exchange_key,
            peer_epoch=1,
        )
        await siege.send(earlier.seal(request(good), board=raw.link.board), "wrong-epoch")
        word = receipt(seller.node)
        stray = encode_signed(word, identity=raw.identity, to=siege.buyer.node, seq=900, board=raw.link.board)
        await siege.send(stray, "misdirected")
        await siege.send(seal(receipt(siege.buyer.node)), "misdirected")
        await siege.send(seal(receipt(seller.node, F)), "misdirected")
        await siege.send(flipped(seal(word)), "forged")
        await siege.send(seal(m.Done(F)), "misdirected")
        await siege.send(seal(m.Ok()), "unexpected")
        await siege.send(seal(m.Reject("not-a-member")), "unexpected")
        assert sum(data.startswith(BLOCK_BYTE) for data in raw.inbox) == 1
        # A legal no is said, not counted.
        for download, shown, reason in (
            (F, b"", "no-order"),
            (E, siege.order(E, expires_ns=world.clock.now_ns()), "expired"),
            (F, siege.order(F, index=siege.index + 1), "not-held"),
        ):
            await siege.send(seal(request(shown, download)))
            assert raw.refusals() == [m.Refusal(download, reason)]
        await siege.send(seal(word))
        assert seller._uploader._customers[D].total_bytes == 1024
        await siege.finish()

    world = play(program)
    world.assert_identical(world.directory / "f")


def test_odds_that_are_not_the_trackers_or_contradict_it_are_counted_and_not_believed(play):
    async def program(world):
        siege = await Siege().prepare(world)
        view, tracker = siege.seller._bidding.odds, world.tracker._identity

        def odds(identity, first=0, value=0.5):
            page = m.Odds(0, 1, first, np.float32([value]).tobytes(), np.float32([0]).tobytes())
            return seal_broadcast(page, board=view.newest, identity=identity)

        page = m.Odds(0, 1, 0, np.float32([0.5]).tobytes(), np.float32([0]).tobytes())
        await siege.send(odds(siege.raw.identity), "forged")
        await siege.send(flipped(odds(tracker)), "forged")
        await siege.send(
            encode_signed(page, identity=tracker, to=siege.seller.node, seq=900 << 12, board=900), "misdirected"
        )
        await siege.send(odds(tracker, value=np.nan), "malformed")
        await siege.send(odds(tracker, first=3), "malformed")
        await siege.send(odds(tracker), "equivocation")
        assert view.shares == [1.0]
        await siege.finish()

    world = play(program)
    world.assert_identical(world.directory / "f")
    told = {event.where: dict(event.kinds) for event in world.of(FramesDropped)}
    assert told[world.identities["seller"].node.hex()]["equivocation"] == 1


def test_a_board_of_several_pages_is_one_reason_to_bid_anew(play):
    async def program(world):
        siege = await Siege().prepare(world)
        seller, tracker = siege.seller, world.tracker._identity
        bids = []
        seller._uploader.set_rates = bids.append
        number = seller._bidding.odds.newest + 1
        for page, files in ((0, FILES_PER_PAGE), (1, 1)):
            assert not bids
            shares = np.full(files, 1 / 256, np.float32).tobytes()
            odds = m.Odds(page, 2, page * FILES_PER_PAGE, shares, bytes(len(shares)))
            await siege.send(seal_broadcast(odds, board=number, identity=tracker))
        assert len(bids) == 1

    play(program)


def test_forged_blocks_and_words_of_strangers_do_no_harm_to_a_download(play):
    async def calm(world):
        seller, buyer = await world.join("seller", upload=500 * KB), await world.join("buyer")
        index = await seller.publish("f", world.file("f", 4 * PIECE_BYTES))
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(10.5)

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
            raw.endpoint.send(
                encode_block(session.block_digest, flow, bytes(1024), piece=block % 4, block=block), target
            )
        for message in (m.Refusal(download, "not-held"), m.Queued(download, 2**61)):
            raw.endpoint.send(session.seal(message, board=0), target)
        await trio.sleep(10)
        assert buyer.dropped == {"forged": 100, "unknown-sender": 2}

    world = play(program, link=CLEAN)
    world.assert_identical(world.directory / "f")
    unharmed = play(calm, link=CLEAN).of(DownloadFinished)[0]
    assert (
        world.of(DownloadFinished)[0].wasted_blocks == unharmed.wasted_blocks
    )  # asking a lone server twice costs a few
