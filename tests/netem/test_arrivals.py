"""trio: one socket read: datagrams and runs of them, from known senders and strangers, until it is closed or overflows."""

from __future__ import annotations

import itertools
import socket
import struct

import pytest
import trio

from netem import arrivals, hub
from netem.arrivals import DRAIN_MOST, Reader, merge, merges, unread
from netem.certificate import Conservation
from netem.fates import MOST_MERGED, Cause, FateLog, no_drops
from netem.hub import bind_udp, socket_drops
from netem.link import LinkConfig
from netem.route import HEADER, HEADER_BYTES, MAX_DATAGRAM_BYTES
from tests.netem.test_elsewhere import run_apart

KNOWN, STRANGER = 7, None  # link ids


def kernel_merges():
    with bind_udp(("127.0.0.1", 0)) as sock:
        return merge(sock)


needs_runs = pytest.mark.skipif(not kernel_merges(), reason="this kernel hands over no runs (UDP_GRO)")


class Taken:
    """An endpoint that notes what it is given."""

    def __init__(self, *, close_after=None):
        self.open = True
        self.sources = {}
        self.handed, self.received, self.lost = [], [], []
        self._close_after = close_after

    def on_datagram(self, data, source):
        self.handed.append(data)
        self.open = len(self.handed) != self._close_after

    def receive(self, frame, source):
        self.received.append(frame)

    def lose(self, frame, source):
        self.lost.append(frame)


@pytest.fixture
def ends():
    with bind_udp(("127.0.0.1", 0)) as sender, bind_udp(("127.0.0.2", 0)) as receiver:
        yield sender, receiver


def frame(number, size_bytes):
    return HEADER.pack(number, 1000 * number) + bytes([number % 256]) * (size_bytes - HEADER_BYTES)


def send_run(sender, receiver, frames):
    """Send frames as one datagram of segments; all but the last have one size."""
    beside = [(17, 103, struct.pack("=H", len(frames[0])))]
    assert sender.sendmsg(frames, beside, 0, receiver.getsockname()) == sum(map(len, frames))


def read_all(reader, fates, looks=10):
    """Look as often as a hub may; each reading of the clock is 1 ns after the last."""
    clock = itertools.count(1)
    for look in range(1, looks + 1):
        reader.read(fates, elapsed_ns=lambda: next(clock), look=look)


def recorded(fates):
    """Return link, packet number and time of arrival of each record."""
    numbers = [number for number, _ in HEADER.iter_unpack(bytes(fates.headers))]
    return list(zip(fates.links, numbers, fates.arrivals_ns, strict=True))


@needs_runs
@pytest.mark.parametrize("sizes", [[1200] * 54, [100] * 3, [1200, 1200, 700], [12, 12], [13]])
def test_a_run_is_cut_into_its_datagrams_which_share_one_time(ends, sizes):
    sender, receiver = ends
    assert merge(receiver)
    frames = [frame(number, size) for number, size in enumerate(sizes)]
    send_run(sender, receiver, frames)
    endpoint, fates = Taken(), FateLog()
    endpoint.sources[sender.getsockname()] = KNOWN
    reader = Reader(endpoint, receiver)
    reader.read(fates, elapsed_ns=lambda: 5, look=1)
    shorter = [one for one in frames if len(one) < sizes[0]]  # of another size, so the endpoint records it itself
    equal = frames[: len(frames) - len(shorter)]
    assert endpoint.handed == [one[HEADER_BYTES:] for one in equal]
    assert endpoint.received == shorter
    assert recorded(fates) == [(KNOWN, number, 5) for number in range(len(equal))]


@needs_runs
def test_runs_and_single_datagrams_of_friends_and_strangers_come_in_order(ends):
    sender, receiver = ends
    merge(receiver)
    with bind_udp(("127.0.0.3", 0)) as stranger:
        send_run(sender, receiver, [frame(number, 500) for number in range(3)])
        sender.sendto(frame(3, 80), receiver.getsockname())
        send_run(stranger, receiver, [bytes(1400)] * 3)
        stranger.sendto(bytes(5000), receiver.getsockname())
        stranger.sendto(b"", receiver.getsockname())
        send_run(sender, receiver, [frame(4, 20), frame(5, 20), b"short"])
        sender.sendto(b"", receiver.getsockname())
        sender.sendto(frame(6, 1200), receiver.getsockname())
    endpoint, fates = Taken(), FateLog()
    endpoint.sources[sender.getsockname()] = KNOWN
    read_all(Reader(endpoint, receiver), fates)
    assert [len(data) + HEADER_BYTES for data in endpoint.handed] == [500, 500, 500, 80, 20, 20, 1200]
    assert [len(one) for one in endpoint.received] == [1400] * 3 + [5000, 0, 5, 0]
    assert [number for _, number, _ in recorded(fates)] == list(range(7))


@needs_runs
def test_what_follows_a_close_within_a_run_is_lost_and_not_recorded(ends):
    sender, receiver = ends
    merge(receiver)
    send_run(sender, receiver, [*(frame(number, 300) for number in range(6)), frame(6, 200)])
    endpoint, fates = Taken(close_after=2), FateLog()
    endpoint.sources[sender.getsockname()] = KNOWN
    reader = Reader(endpoint, receiver)
    read_all(reader, fates)
    assert len(endpoint.handed) == len(recorded(fates)) == 2
    assert endpoint.lost == [*(frame(number, 300) for number in range(2, 6)), frame(6, 200)]


@needs_runs
def test_what_a_link_with_a_rate_delivers_is_weighed_alike_in_runs_and_one_by_one(ends):
    sender, receiver = ends
    weighed = []
    for whole in (False, True):
        if whole:
            merge(receiver)
        endpoint, fates = Taken(), FateLog()
        endpoint.sources[sender.getsockname()] = KNOWN
        fates.rated[KNOWN] = lambda size_bytes: size_bytes + 28
        send_run(sender, receiver, [frame(number, 700) for number in range(5)])
        send_run(sender, receiver, [frame(number, 900) for number in range(5, 8)])
        read_all(Reader(endpoint, receiver), fates)
        assert len(endpoint.handed) == 8
        weighed.append(fates.bytes_after_first()[KNOWN])
    assert weighed == [4 * 728 + 3 * 928] * 2


@needs_runs
def test_a_socket_gets_runs_once_one_sender_fills_it_and_a_look_is_bounded(ends):
    sender, receiver = ends
    endpoint, fates = Taken(), FateLog()
    endpoint.sources[sender.getsockname()] = KNOWN
    reader = Reader(endpoint, receiver)
    for _ in range(4):
        send_run(sender, receiver, [frame(0, 50)] * 50)
    reader.read(fates, elapsed_ns=lambda: 1, look=1)
    assert len(endpoint.handed) == 1
    reader.read(fates, elapsed_ns=lambda: 1, look=2)
    assert len(endpoint.handed) == 1 + DRAIN_MOST
    assert merges(receiver)
    for _ in range(4):
        send_run(sender, receiver, [frame(0, 50)] * 50)
    for look in itertools.count(3):
        before = len(endpoint.handed)
        reader.read(fates, elapsed_ns=lambda: 1, look=look)
        if len(endpoint.handed) == 400:
            break
        assert 0 < len(endpoint.handed) - before < DRAIN_MOST + MOST_MERGED
    # Who takes the socket over goes on so.
    send_run(sender, receiver, [frame(0, 50)] * 3)
    Reader(endpoint, receiver).read(fates, elapsed_ns=lambda: 1, look=50)
    assert len(endpoint.handed) == 403


@needs_runs
def test_a_socket_that_a_crowd_fills_stays_as_it_is(ends):
    _, receiver = ends
    endpoint, fates = Taken(), FateLog()
    crowd = [bind_udp(("127.0.0.5", 0)) for _ in range(10)]
    for number, member in enumerate(crowd):
        endpoint.sources[member.getsockname()] = number
    reader = Reader(endpoint, receiver)
    for look in range(1, 20):
        for member in crowd:
            member.sendto(frame(0, 50), receiver.getsockname())
        reader.read(fates, elapsed_ns=lambda: 1, look=look)
    assert len(endpoint.handed) > 150
    assert not merges(receiver)
    for member in crowd:
        member.close()


@needs_runs
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_unread_comes_frame_by_frame(ends, whole):
    sender, receiver = ends
    if whole:
        merge(receiver)
    frames = [frame(number, 100) for number in range(4)] + [frame(4, 60)]
    send_run(sender, receiver, frames)
    sender.sendto(b"", receiver.getsockname())
    assert list(unread(receiver)) == [(one, sender.getsockname()) for one in [*frames, b""]]


def test_a_kernel_that_hands_over_no_runs_is_read_datagram_by_datagram(run_real, monkeypatch):
    monkeypatch.setattr(arrivals, "_UDP_GRO", 10_104)  # no kernel knows it
    got = []

    async def program(network, nursery):
        sender = network.add_host("a").open_udp(lambda *_: None)
        receiver = network.add_host("b").open_udp(lambda data, source: got.append(data))
        for _ in range(5):
            for number in range(100):
                sender.send(bytes([number]), receiver.address)
            await trio.sleep(0.005)
        await trio.sleep(0.02)
        sock = network.wire._sockets[receiver.address]
        assert not merge(sock)
        assert not merges(sock)

    assert run_real(program).conservation().missing == 0
    assert got == [bytes([number]) for number in range(100)] * 5


@needs_runs
def test_a_socket_without_room_drops_a_run_as_one(ends, monkeypatch):
    monkeypatch.setattr(hub, "_RECEIVE_BUFFER_BYTES", 16 * 1024)
    sender, _ = ends
    with bind_udp(("127.0.0.4", 0)) as receiver:
        merge(receiver)
        for _ in range(10):
            send_run(sender, receiver, [frame(0, MAX_DATAGRAM_BYTES)] * 20)
        read = len(list(unread(receiver)))
        drops = socket_drops(receiver)
        assert read + 20 * drops == 200
        assert drops > 5


@needs_runs
@pytest.mark.parametrize("apart", [False, True])
def test_packets_of_dropped_runs_are_all_accounted_for(run_real, monkeypatch, apart):
    monkeypatch.setattr(hub, "_RECEIVE_BUFFER_BYTES", 16 * 1024)
    counted = []

    async def flood(one, other):
        """Let a receiver get runs, and then more than it has room for."""
        handed = []
        receiver = other.open_udp(lambda data, source: handed.append(data))
        sender = one.open_udp(lambda *_: None)
        sock = other.backbone.wire._sockets[receiver.address]
        with trio.fail_after(10):  # a busy host may send a burst in parts
            while not merges(sock):
                for _ in range(20):
                    sender.send(bytes(1000), receiver.address)
                await trio.sleep(0.02)
        for _ in range(400):
            sender.send(bytes(1000), receiver.address)
        await trio.sleep(0.05)
        counted.append((one.sent - len(handed), socket_drops(sock)))

    if apart:

        async def between(here, elsewhere, nursery):
            await flood(here.hosts["a"], elsewhere.hosts["b"])

        account = run_apart(between, link=LinkConfig())
        certificate = account.certificate()
    else:

        async def within(network, nursery):
            await flood(network.add_host("a"), network.add_host("b"))

        certificate = run_real(within).certificate()
    (dropped, drops), kept = counted[0], certificate.conservation
    assert kept.missing == 0
    assert kept.dropped[Cause.KERNEL] == dropped > drops > 0
    assert not certificate.valid
    assert all("not conserved" not in reason for reason in certificate.reasons)


def test_no_more_is_put_down_to_the_kernel_than_it_may_have_dropped():
    def settled(missing, unsure):
        kept = Conservation(100 + missing, 0, 100, dropped=tuple(no_drops()), in_flight=0, unsure=unsure).settled()
        return kept.missing, kept.dropped[Cause.KERNEL]

    assert settled(missing=5, unsure=0) == (5, 0)
    assert settled(missing=5, unsure=63) == (0, 5)
    assert settled(missing=70, unsure=63) == (7, 63)
    assert settled(missing=-3, unsure=63) == (-3, 0)


def test_a_datagram_is_an_answer_to_every_socket_option_that_is_missing():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        assert not merge(stream)
        assert not merges(stream)
