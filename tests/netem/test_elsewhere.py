"""trio: hosts of another process: two networks in one process, each with sockets for its own half of the hosts."""

from __future__ import annotations

import selectors

import pytest
import trio

from netem import hub
from netem.accounts import merge
from netem.errors import LocalProtocolError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.network import Network
from netem.real_time import RealTime

LOSSY = LinkConfig((Loss(0.1), Delay(0.005)))


async def settle(rounds: int = 8) -> None:
    """Give packets 5 ms a round; many short waits survive a machine that stops for a while, one long one does not."""
    for _ in range(rounds):
        await trio.sleep(0.005)


def run_apart(program, *, link=LOSSY, **there):
    """Run `program(here, elsewhere, nursery)`: host a lives in the first network, b in the second; return their merged account."""

    async def main():
        clock = RealTime()
        networks = []

        def mirror(change):  # as the pipe between two processes would
            networks[1].apply(change)

        networks += [
            Network(clock, run_seed=1, default_link=link, mirror=mirror),
            Network(clock, run_seed=1, default_link=link),
        ]
        for number, network in enumerate(networks):
            network.add_host("a", here=number == 0)
            network.add_host("b", here=number == 1, **there)
        async with trio.open_nursery() as nursery:
            for network in networks:
                await nursery.start(network.run)
            nursery.start_soon(clock.run)
            await program(*networks, nursery)
            clock.halt()
            await settle(2)
            nursery.cancel_scope.cancel()
        return merge([network.account() for network in networks])

    return trio.run(main)


def test_lateness_after_the_end_is_judged_in_no_process():
    late_ns = 10**12

    async def program(here, elsewhere, _nursery):
        here.end()
        for network in (here, elsewhere):
            network.lag.histogram.add(late_ns)
            network.fates.lateness.add(late_ns)
        await settle(1)

    account = run_apart(program)
    for histogram in (account.lag, account.lateness):
        assert histogram.max_ns == late_ns
        assert histogram.quantile_ns(1.0) < late_ns


def test_datagrams_cross_and_both_accounts_together_balance():
    got = []

    async def program(here, elsewhere, nursery):
        b = elsewhere.hosts["b"].open_udp(lambda data, source: (got.append(data), b.send(b"back", source)))
        a = here.hosts["a"].open_udp(lambda data, source: got.append(data))
        for _ in range(100):
            for _ in range(4):
                a.send(b"there", b.address)
            await trio.sleep(0.001)
        await settle()

    account = run_apart(program)
    fates = account.fates()
    assert fates["sent"] == 400 + got.count(b"there")
    assert got.count(b"there") + got.count(b"back") == fates["delivered"]
    assert 0 < fates["loss"] < 200
    assert [(count.source, count.target, count.packets) for count in account.links] == [
        ("a", "b", 400),
        ("b", "a", got.count(b"there")),
    ]
    certificate = account.certificate()
    assert certificate.conservation.missing == 0
    assert certificate.loss.ok
    assert certificate.delay_s.ok


def test_a_lost_frame_between_processes_is_missed():
    async def program(here, elsewhere, nursery):
        b = elsewhere.hosts["b"].open_udp(lambda data, source: None)
        a = here.hosts["a"].open_udp(lambda data, source: None)
        sock = elsewhere.wire._sockets[b.address]
        # As if the kernel had lost what comes, without a word.
        elsewhere.wire._selector.modify(sock, selectors.EVENT_READ, Deaf(sock))
        a.send(b"x", b.address)
        await settle()

    class Deaf(hub.Reader):
        def __init__(self, sock):
            super().__init__(None, sock)

        def read(self, fates, *, elapsed_ns, look):
            self.sock.recv(2048)

    account = run_apart(program, link=LinkConfig())
    assert account.conservation.missing == 1
    assert not account.certificate().valid


def test_the_receiving_process_runs_the_download_queue():
    arrivals_s = []

    async def program(here, elsewhere, nursery):
        b = elsewhere.hosts["b"].open_udp(lambda data, source: arrivals_s.append(trio.current_time() - sent_s))
        a = here.hosts["a"].open_udp(lambda data, source: None)
        sent_s = trio.current_time()
        for _ in range(20):
            a.send(bytes(988), b.address)
        await settle(60)

    account = run_apart(program, link=LinkConfig(), download_bytes_per_s=100_000, queue_bytes=10_000)
    fates = account.fates()
    assert fates["downlink_queue"] == 20 - len(arrivals_s)
    assert len(arrivals_s) in {10, 11}  # the queue, and the one that is being received
    # Each takes 10 ms; whatever else the machine does makes them later.
    assert all(arrived_s >= 0.009 * place for place, arrived_s in enumerate(arrivals_s, start=1))
    assert account.conservation.missing == 0


def test_what_is_sent_to_a_closed_socket_elsewhere_is_counted():
    async def program(here, elsewhere, nursery):
        b = elsewhere.hosts["b"].open_udp(lambda data, source: None)
        a = here.hosts["a"].open_udp(lambda data, source: None)
        a.send(b"x", b.address)
        await settle()
        b.close()
        a.send(b"y", b.address)
        await settle()
        again = elsewhere.hosts["b"].open_udp(lambda data, source: None, port=b.address[1])
        a.send(b"z", again.address)
        await settle()

    account = run_apart(program, link=LinkConfig())
    assert (account.fates()["delivered"], account.fates()["destination_down"]) == (2, 1)
    assert account.conservation.missing == 0


def test_streams_cross_and_each_direction_is_shaped_by_its_sender():
    async def program(here, elsewhere, nursery):
        async def echo(stream):
            await stream.send_all(await stream.receive_some())

        address = await elsewhere.hosts["b"].listen_tcp(echo, nursery=nursery)
        started_s = trio.current_time()
        async with await here.hosts["a"].connect_tcp(address) as stream:
            connected_s = trio.current_time()
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
            assert await stream.receive_some() == b""
        assert connected_s - started_s >= 0.04  # a round trip
        assert trio.current_time() - connected_s >= 0.04

    run_apart(program, link=LinkConfig((Delay(0.02),)))


def test_connecting_to_where_nobody_listens_is_refused():
    async def program(here, elsewhere, nursery):
        with pytest.raises(ConnectionRefusedError):
            await here.hosts["a"].connect_tcp((elsewhere.hosts["b"].ip, 9))

    run_apart(program)


def test_a_crash_elsewhere_resets_streams_here():
    async def program(here, elsewhere, nursery):
        async def listen_on(stream):
            await stream.receive_some()

        address = await elsewhere.hosts["b"].listen_tcp(listen_on, nursery=nursery)
        stream = await here.hosts["a"].connect_tcp(address)
        here.crash("b")
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        assert not elsewhere.hosts["b"].up
        here.restart("b")
        assert elsewhere.hosts["b"].up

    run_apart(program)


def test_a_partition_made_here_holds_there():
    got = []

    async def program(here, elsewhere, nursery):
        a = here.hosts["a"].open_udp(lambda data, source: got.append(data))
        b = elsewhere.hosts["b"].open_udp(lambda data, source: got.append(data))
        a.send(b"hello", b.address)
        await settle()
        with here.partition(["a"], ["b"]):
            b.send(b"unheard", a.address)
            await settle()
        b.send(b"heard", a.address)
        await settle()

    fates = run_apart(program, link=LinkConfig()).fates()
    assert got == [b"hello", b"heard"]
    assert fates["partition"] == 1


def test_a_hold_and_a_pause_made_here_are_felt_there():
    got = []

    async def program(here, elsewhere, nursery):
        a = here.hosts["a"].open_udp(lambda data, source: got.append(data))
        b = elsewhere.hosts["b"].open_udp(lambda data, source: got.append(data))
        a.send(b"hello", b.address)
        await settle()
        with here.hold("a", "b"):
            b.send(b"held", a.address)
            await settle()
            assert got == [b"hello"]
        await settle()
        with here.pause("b"):
            a.send(b"unread", b.address)
            await settle()
            assert got == [b"hello", b"held"]
        assert got == [b"hello", b"held", b"unread"]

    assert run_apart(program, link=LinkConfig()).conservation.missing == 0


def test_links_are_impaired_in_every_process():
    async def program(here, elsewhere, nursery):
        b = elsewhere.hosts["b"].open_udp(lambda data, source: None)
        a = here.hosts["a"].open_udp(lambda data, source: None)
        here.impair_all(LinkConfig((Loss(1.0),)))
        b.send(b"x", a.address)
        here.impair("b", "a", LinkConfig())
        b.send(b"y", a.address)
        await settle()

    fates = run_apart(program).fates()
    assert (fates["loss"], fates["delivered"]) == (1, 1)


def test_a_host_elsewhere_opens_no_sockets_here():
    async def program(here, elsewhere, nursery):
        with pytest.raises(LocalProtocolError, match="another process"):
            here.hosts["b"].open_udp(lambda data, source: None)

    run_apart(program)


def test_strangers_take_part_only_where_they_may():
    got = []

    async def main():
        clock = RealTime()
        closed = Network(clock, run_seed=1)
        first, second = (Network(clock, run_seed=1, strangers=True) for _ in range(2))
        for number, network in enumerate((closed, first, second), start=1):
            network.add_host("me", ip=f"127.77.0.{number}")
        async with trio.open_nursery() as nursery:
            for network in (closed, first, second):
                await nursery.start(network.run)
            nursery.start_soon(clock.run)
            ends = [
                network.hosts["me"].open_udp(lambda data, source, name=name: got.append((name, data)))
                for name, network in (("closed", closed), ("first", first), ("second", second))
            ]
            ends[1].send(b"to first's peer", ends[2].address)
            ends[1].send(b"to a closed one", ends[0].address)
            await settle()
            nursery.cancel_scope.cancel()
        return closed

    closed = trio.run(main)
    assert got == [("second", b"to first's peer")]
    assert closed.foreign == 1
