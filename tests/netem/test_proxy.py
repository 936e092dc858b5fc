"""A relay in front of programs that know nothing of it: what passes, what is lost, and how long it takes, over real sockets."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest
import trio

from netem.errors import ConfigError
from netem.proxy import MOST_FLOWS, Proxy
from netem.real_time import COALESCE_NS
from netem.tc import parse_tc

FORTH, BACK = parse_tc("delay 10ms loss 20%"), parse_tc("delay 5ms")
HERE = ("127.0.0.1", 0)


async def echo_datagrams(sock):
    while True:
        data, client = await sock.recvfrom(65_536)
        await sock.sendto(data, client)


@pytest.fixture
def open_udp():
    """Return what opens a socket; all are closed at the end."""
    with contextlib.ExitStack() as sockets:

        async def bound():
            sock = sockets.enter_context(trio.socket.socket(type=trio.socket.SOCK_DGRAM))
            await sock.bind(HERE)
            return sock

        yield bound


async def settle(rounds=20):
    """Give packets 5 ms a round; many short waits survive a machine that stops for a while, one long one does not."""
    for _ in range(rounds):
        await trio.sleep(0.005)


async def test_datagrams_of_any_size_are_lost_and_delayed_as_the_link_decides(nursery, open_udp):
    behind = await open_udp()
    nursery.start_soon(echo_datagrams, behind)
    proxy = Proxy(HERE, behind.getsockname(), forth=FORTH, back=BACK, run_seed=1)
    address = await nursery.start(proxy.run)
    client = await open_udp()
    answers = []

    async def listen():
        while True:
            data, source = await client.recvfrom(65_536)
            assert source == address
            answers.append((time.monotonic_ns() - int(data[:20]), len(data)))

    nursery.start_soon(listen)
    for number in range(200):
        await client.sendto(b"%020d" % time.monotonic_ns() + bytes(number * 40), address)
        await trio.sleep(0.001)
    await settle()
    counts = proxy.counts()
    assert counts["client > server"]["datagrams"] == 200
    assert 0 < counts["client > server"]["loss"] == 200 - len(answers)
    assert counts["server > client"] == {"datagrams": len(answers), "copies": 0}
    assert min(took_ns for took_ns, _ in answers) >= 15_000_000 - 2 * COALESCE_NS
    assert max(size for _, size in answers) > 6_000


async def test_the_same_seed_loses_the_same_datagrams(nursery, open_udp):
    arrived = []
    for _ in range(2):
        behind = await open_udp()
        proxy = Proxy(HERE, behind.getsockname(), forth=FORTH, back=BACK, run_seed=3)
        address = await nursery.start(proxy.run)
        client = await open_udp()
        for number in range(100):
            await client.sendto(b"%d" % number, address)
        await settle()
        expected = 100 - proxy.counts()["client > server"]["loss"]
        arrived.append(sorted([(await behind.recvfrom(100))[0] for _ in range(expected)]))
    assert arrived[0] == arrived[1]


async def test_damage_shows_in_one_bit_of_a_datagram(nursery, open_udp):
    behind = await open_udp()
    proxy = Proxy(HERE, behind.getsockname(), forth=parse_tc("corrupt 100%"), back=BACK, run_seed=3)
    address = await nursery.start(proxy.run)
    client = await open_udp()
    for _ in range(5):
        await client.sendto(bytes(100), address)
        data, _ = await behind.recvfrom(200)
        assert len(data) == 100
        assert sum(byte.bit_count() for byte in data) == 1


async def test_the_flow_that_was_quiet_longest_makes_way(nursery, monkeypatch, open_udp):
    monkeypatch.setattr("netem.proxy.MOST_FLOWS", 2)
    assert MOST_FLOWS == 1_024
    behind = await open_udp()
    nursery.start_soon(echo_datagrams, behind)
    proxy = Proxy(HERE, behind.getsockname(), forth=parse_tc("delay 1ms"), back=BACK, run_seed=1)
    address = await nursery.start(proxy.run)
    clients = [await open_udp() for _ in range(3)]
    for client in clients:
        await client.sendto(b"hello", address)
        assert (await client.recvfrom(10))[0] == b"hello"
    assert list(proxy._flows) == [client.getsockname() for client in clients[1:]]


async def test_a_connection_keeps_its_bytes_its_ends_and_the_delay_of_the_path(nursery):
    async def reverse(stream):
        heard = b"".join([part async for part in stream])
        await stream.send_all(heard[::-1])

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, reverse, [listener])
    proxy = Proxy(HERE, listener.socket.getsockname(), forth=parse_tc("delay 10ms"), back=BACK, run_seed=1)
    address = await nursery.start(proxy.run)
    said = bytes(range(256)) * 2_000
    began_ns = time.monotonic_ns()
    async with await trio.open_tcp_stream(*address) as client:
        await client.send_all(said)
        await client.send_eof()
        answer = b"".join([part async for part in client])
    assert answer == said[::-1]
    assert time.monotonic_ns() - began_ns >= 30_000_000 - 4 * COALESCE_NS  # a handshake, and there and back
    assert proxy.connections == 1


async def test_a_program_that_refuses_ends_the_connection_and_is_counted(nursery):
    with socket.socket() as nobody:
        nobody.bind(HERE)
        proxy = Proxy(HERE, nobody.getsockname(), forth=BACK, back=BACK, run_seed=1)
        address = await nursery.start(proxy.run)
        async with await trio.open_tcp_stream(*address) as client:
            assert await client.receive_some() == b""
        assert proxy.refused == 1


async def test_an_address_in_use_is_refused():
    with socket.socket() as other:
        other.bind(HERE)
        other.listen()
        proxy = Proxy(other.getsockname(), HERE, forth=BACK, back=BACK, run_seed=1)
        with pytest.raises(ConfigError, match=r"--listen: .*an address that is free"):
            await proxy.run()
