"""A node under bad input: it is counted by kind, changes nothing, and does not end the node."""

from __future__ import annotations

from collections import Counter

import numpy as np
import trio

from node.acquaintances import Acquaintances
from node.events import DownloadFinished
from node.tracker_link import TrackerLink
from tests.node.worlds import CLEAN, KB
from tracker import messages as m
from tracker.blocks import BLOCK_BYTE, block_digest, encode_block
from tracker.events import FramesDropped
from tracker.identity import Identity
from tracker.messages import PIECE_BYTES
from tracker.odds import FILES_PER_PAGE
from tracker.session import Session, seal_broadcast
from tracker.wire import encode_signed, peek


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
        return dict(seller._roots), dict(seller._bidding.split), customers, uploader.sizes()["blocks"]

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
