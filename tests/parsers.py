"""Every parser of foreign bytes, as functions that fuzzers call: each raises only what nobody has declared.

`TARGETS` take any bytes. `SAMPLES` are valid inputs to start from. The wire's targets get message bodies that are properly tagged
or signed, as an attacker with keys of its own would send them: so the fuzzer reaches what lies behind the proofs.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec

from netem.clock import S
from netem.errors import BadFrame, ConfigError, RemoteProtocolError
from netem.fate_reading import read_fates
from netem.framing import FrameReader, frame
from netem.network import Network
from netem.plain_link import to_plain
from netem.tc import parse_tc
from netem.virtual_time import VirtualTime
from node.beliefs import make_beliefs
from node.peer import Peer, PeerConfig
from node.policies import make_policy
from node.store import Store
from scenarios.parameters import Params, fill, read_settings
from scenarios.trace_file import read_trace
from tracker import blocks, wire
from tracker import messages as m
from tracker.identity import Identity
from tracker.odds import OddsView
from tracker.session import Session, open_broadcast, open_join, seal_broadcast
from tracker.tracker import Tracker

KEY = bytes(32)
DIGEST = blocks.block_digest(KEY)
TRACKER, SERVER, STRANGER = (Identity(bytes([n]) * 32, epoch=1) for n in (1, 2, 3))
D = b"d" * 16
ORDER = m.Order(D, 0, STRANGER.node, STRANGER.sign_key, STRANGER.exchange_key, 1, 2**62)
ADDRESS = ("127.1.2.3", 9)
MANIFEST = m.Manifest("a/b", 300_000, [KEY, KEY], KEY)
MESSAGES: list[m.Message] = [
    m.Join(STRANGER.sign_key, STRANGER.exchange_key, "127.0.0.1", 4000, 125_000.0),
    m.Welcome(TRACKER.sign_key, TRACKER.exchange_key, 3, 100),
    m.Leave(),
    m.Ok(),
    m.Reject("unknown-file", "7"),
    MANIFEST,
    m.Publish(MANIFEST),
    m.Published(3),
    m.GetCatalogue(1),
    m.Catalogue([m.Entry(0, "a", 1, KEY)]),
    m.GetManifest(0),
    m.Hold(0, holds=True),
    m.Open(D, 0),
    ORDER,
    m.Opened(b"order", 5, []),
    m.GetServers(0),
    m.Servers([m.Server(SERVER.node, SERVER.sign_key, SERVER.exchange_key, 1, "127.0.0.1", 1)]),
    m.Close(D, [(SERVER.node, 5)]),
    m.Closed(5),
    m.GetBalance(),
    m.Balance(5, 1),
    m.Heartbeat(0, 1, [(0, 0.5), (1, 0.5)]),
    m.Deposit([b"receipt"]),
    m.Odds(0, 1, 0, bytes(8), bytes(8)),
    m.Request(D, 0, [(0, 0, 256)], wire.encode_signed(ORDER, to=m.EVERYBODY, seq=0, board=0, identity=TRACKER)),
    m.Refusal(D, "unpaid"),
    m.Receipt(D, SERVER.node, 1024, 1, KEY),
    m.Done(D),
    m.Queued(D, 10**9),
    m.GetStanding(),
    m.Standing(0.125),
]
encode = msgspec.msgpack.encode


def sealed(number: int, body: bytes, *, sender: Identity, to: Identity, key: bytes, seq: int) -> bytes:
    """Return a frame around any body, proven as its type wants it."""
    number %= len(m.TYPES)
    signed = m.TYPES[number] in m.SIGNED
    head = (wire.VERSION, number, sender.node, to.node, sender.epoch, seq, 0)
    data = bytes([wire.SIGNED if signed else wire.TAGGED]) + b"\x98" + b"".join(map(encode, head)) + body
    proof = sender.sign(wire._DOMAINS[number], data) if signed else wire._tag(data, key, number=number)
    return data + proof


class Bank:
    """A bank that takes everything at once."""

    ledger = SimpleNamespace(balance=lambda _account: 0, held=lambda _account: 0)

    async def apply(self, _transaction: object) -> None:
        """Take a transaction."""


class Stage:
    """A tracker and a peer that have met a stranger, without a run around them."""

    def __init__(self) -> None:
        clock = VirtualTime()
        network = Network(clock, run_seed=1)
        self.tracker = Tracker(
            network.add_host("tracker"), clock, identity=TRACKER, bank=Bank(), emit=lambda _event: None
        )
        self.tracker._reception.endpoint = network.hosts["tracker"].open_udp(lambda _data, _source: None)
        join = MESSAGES[0]
        hello = wire.encode_signed(join, to=TRACKER.node, seq=0, board=0, identity=STRANGER)
        _, session = self.tracker._sessions.meet(hello)
        self.tracker._sessions.keep(session, sign_key=STRANGER.sign_key)
        self.desk = self.tracker._desk
        self.member = self.desk.membership.join(join, epoch=1, now_ns=0)
        self.desk.market.rates.admit(STRANGER.node, claimed_bytes_per_s=1.0, now_ns=0)
        self.tracker_key = session.key
        self.host = network.add_host("server")
        config = PeerConfig(1e5, make_policy("fixed"), make_beliefs("given", ()), 1, ADDRESS, TRACKER.sign_key)
        self.directory = tempfile.TemporaryDirectory()
        store = Store(Path(self.directory.name))
        self.peer = Peer(self.host, clock, SERVER, store=store, config=config, emit=lambda _event: None)
        self.peer._open_sides(self.host.open_udp(self.peer._on_datagram))
        keys = (STRANGER.sign_key, STRANGER.exchange_key)
        self.peer_key = self.peer._acquaintances.of_server(m.Server(STRANGER.node, *keys, 1, "h", 1)).key
        self.peer._link.session = Session(
            SERVER,
            peer=TRACKER.node,
            peer_sign_key=TRACKER.sign_key,
            peer_exchange_key=TRACKER.exchange_key,
            peer_epoch=1,
        )
        self._serve_a_file(store)
        self.seq = 0

    def _serve_a_file(self, store: Store) -> None:
        path = store.directory / "file"
        path.write_bytes(bytes(MANIFEST.size_bytes))
        store.keep(KEY, path)
        self.peer._roots[0] = KEY
        self.peer._uploader.offer(0, root=KEY, size_bytes=MANIFEST.size_bytes)
        self.peer._uploader.set_rates({0: 1e5})

    def refresh(self) -> None:
        """Forget what was counted against the stranger: time stands still here, so that it would be shut out for ever."""
        self.tracker._reception.budgets.clear()
        self.peer._uploader.tabs._tabs.clear()
        self.peer._uploader._customers.clear()

    def seal(self, data: bytes, *, to: Identity, key: bytes) -> bytes:
        """Return a frame of the stranger's around a body; the first byte chooses its type."""
        self.seq += 1
        return sealed(data[0] if data else 0, data[1:], sender=STRANGER, to=to, key=key, seq=self.seq)


stage = Stage()


def framing(data: bytes) -> None:
    """Cut a stream into frames."""
    with contextlib.suppress(BadFrame):
        FrameReader(1024).feed(data)


def control(data: bytes) -> None:
    """Open a control frame of unknown origin in every way."""
    for parse in (
        wire.peek,
        wire.unverified,
        open_join,
        lambda data: open_broadcast(data, TRACKER.sign_key),
        lambda data: wire.open_signed(data, TRACKER.sign_key),
        stage.tracker._sessions.meet,
        stage.tracker._sessions.open_receipt,
    ):
        with contextlib.suppress(BadFrame):
            parse(data)


def block(data: bytes) -> None:
    """Open a block."""
    with contextlib.suppress(BadFrame):
        blocks.block_flow(data)
        blocks.open_block(data, DIGEST)


def to_tracker(data: bytes) -> None:
    """Send the tracker a datagram, as it is and properly sealed; drivers count what is wrong and raise nothing."""
    stage.refresh()
    stage.tracker._reception.on_datagram(data, ADDRESS)
    stage.tracker._reception.on_datagram(stage.seal(data, to=TRACKER, key=stage.tracker_key), ADDRESS)


def to_desk(data: bytes) -> None:
    """Ask the tracker's desk for something; its answer must fit a frame."""
    try:
        message = wire.decode_body(wire.peek(stage.seal(data, to=TRACKER, key=stage.tracker_key)))
        asked = stage.desk.answer(stage.member, message)
        try:
            asked.send(None)
        except StopIteration as answered:
            wire.encode_tagged(answered.value, sender=TRACKER.node, to=STRANGER.node, epoch=1, seq=0, board=0, key=KEY)
    except RemoteProtocolError:
        pass


def to_peer(data: bytes) -> None:
    """Send a peer a datagram, as it is and properly sealed."""
    stage.refresh()
    stage.peer._on_datagram(data, ADDRESS)
    stage.peer._on_datagram(stage.seal(data, to=SERVER, key=stage.peer_key), ADDRESS)


def odds(data: bytes) -> None:
    """Put a page of any kind on a board."""
    with contextlib.suppress(RemoteProtocolError, msgspec.DecodeError, ValueError):
        page = msgspec.msgpack.decode(data, type=m.Odds)
        view = OddsView()
        view.add(len(data), page)


def tc_line(data: bytes) -> None:
    """Read a tc line."""
    with contextlib.suppress(ConfigError):
        parse_tc(data.decode(errors="replace"))


def settings(data: bytes) -> None:
    """Read `key=value` lines as parameters, and make the link that they describe."""
    with contextlib.suppress(ConfigError):
        fill(Params, read_settings(data.decode(errors="replace").splitlines())).link()


def trace(data: bytes) -> None:
    """Read a trace file."""
    with tempfile.NamedTemporaryFile() as file, contextlib.suppress(ConfigError):
        file.write(data)
        file.flush()
        for _ in read_trace(Path(file.name)):
            pass


def fates(data: bytes) -> None:
    """Read a run's fates."""
    with tempfile.NamedTemporaryFile() as file, contextlib.suppress(ConfigError):
        file.write(data)
        file.flush()
        read_fates(Path(file.name))


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (framing, control, block, to_tracker, to_desk, to_peer, odds, tc_line, settings, trace, fates)
}
BODIES = [bytes([number]) + encode(message) for number, message in enumerate(MESSAGES)]
FRAMES = [
    sealed(number, encode(message), sender=STRANGER, to=TRACKER, key=KEY, seq=number)
    for number, message in enumerate(MESSAGES)
]
PAGE = seal_broadcast(m.Odds(0, 1, 0, bytes(4), bytes(4)), board=1, identity=TRACKER)
SAMPLES: dict[str, list[bytes]] = {
    "framing": [frame(b"abc") + frame(b""), b"\xff\xff\xff\xff"],
    "control": [*FRAMES, PAGE],
    "block": [blocks.encode_block(DIGEST, b"f" * 8, b"data", piece=1, block=2)],
    "to_tracker": [*BODIES, *FRAMES],
    "to_desk": BODIES,
    "to_peer": [*BODIES, *FRAMES, PAGE, blocks.encode_block(DIGEST, b"f" * 8, b"data", piece=1, block=2)],
    "odds": [encode(m.Odds(0, 1, 0, bytes(8), bytes(8)))],
    "tc_line": [b"delay 20ms 5ms distribution normal loss gemodel 1% 20% duplicate 1% rate 8mbit", b"loss 5% 25%"],
    "settings": [b"loss=0.05\nnodes=20\nimpair=delay 20ms loss 1%", b"delay_s=1e-3\nport=0\nrate_bytes_per_s=inf"],
    "fates": [
        encode(["fates", 1, 7])
        + encode(["arrivals", bytes(8), bytes(8), bytes(16)])
        + encode(["link", 0, "a", "b", 3, 0, {"loss": 1}, [[to_plain(parse_tc("loss 1% delay 5ms")), 3]]])
    ],
    "trace": [encode([S, ["NodeJoined", b"n" * 8, 1]]) * 3],
}
