"""Clients of a tracker made by hand, and the network where they meet it."""

from __future__ import annotations

from collections import Counter

import trio

from netem.channel import FrameChannel
from netem.network import Network
from netem.randomness import keyed_bytes
from tracker import messages as m
from tracker.bank.bank import Bank
from tracker.bank.transactions import user_account
from tracker.desk import Terms
from tracker.identity import Identity
from tracker.manifest import manifest_root
from tracker.session import Session, open_broadcast
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


async def send(client, data):
    client.send(data)


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])
