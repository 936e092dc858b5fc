"""trio: datagrams over real sockets: delay, loss, floods, and what the kernel does to them."""

from __future__ import annotations

import socket
import subprocess
import sys

import trio

from netem import departures, hub
from netem.fates import Cause
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.network import Network
from netem.real_time import COALESCE_NS, RealTime


async def settle(rounds: int = 6) -> None:
    """Give packets 5 ms a round; many short waits survive a machine that stops for a while, one long one does not."""
    for _ in range(rounds):
        await trio.sleep(0.005)


def a_pair(network, on_datagram=lambda data, source: None):
    sender = network.add_host("a").open_udp(lambda data, source: None)
    return sender, network.add_host("b").open_udp(on_datagram)


def into_the_kernel(network):
    """Let what is due leave, and nobody read it."""
    network.wire._departures._departed = lambda: None
    network.clock._timers.fire_until(network.clock.now_ns() + COALESCE_NS, most=2)


def test_datagrams_arrive_with_their_delay_and_receivers_count_the_loss(run_real):
    arrivals_ns = []

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: arrivals_ns.append((network.clock.now_ns(), int(data))))
        for _ in range(100):
            for _ in range(10):
                sender.send(b"%d" % network.clock.now_ns(), receiver.address)
            await trio.sleep(0.003)
        await settle(20)

    network = run_real(program, default_link=LinkConfig((Loss(0.1), Delay(0.02))))
    counts = network.fate_counts()
    assert abs(counts["loss"] - 100) < 5 * (1000 * 0.1 * 0.9) ** 0.5
    assert len(arrivals_ns) == counts["delivered"] == 1000 - counts["loss"]
    assert min(arrived - sent for arrived, sent in arrivals_ns) >= 20_000_000 - COALESCE_NS
    assert network.fates.lateness.count == counts["delivered"]
    assert network.conservation().missing == 0
    loss = network.certificate().loss
    assert loss.ok
    assert loss.realised == counts["loss"] / 1000


def test_a_flood_is_dropped_by_the_kernel_and_every_packet_accounted_for(run_real, monkeypatch):
    monkeypatch.setattr(hub, "_RECEIVE_BUFFER_BYTES", 16 * 1024)

    async def program(network, nursery):
        sender, receiver = a_pair(network)
        for _ in range(400):
            sender.send(bytes(1000), receiver.address)
        await settle(10)
        sender.send(b"after the flood", receiver.address)
        await settle(10)

    network = run_real(program)
    account = network.conservation()
    assert account.sent == 401
    assert account.dropped[Cause.KERNEL] > 100
    assert account.missing == 0
    certificate = network.certificate()
    assert any("the kernel dropped" in reason for reason in certificate.reasons)


def test_a_frame_that_vanishes_without_a_counter_makes_the_run_void(run_real):
    async def program(network, nursery):
        sender, receiver = a_pair(network)
        for _ in range(2):
            sender.send(b"x", receiver.address)
        into_the_kernel(network)
        network.wire._sockets[receiver.address].recv(2048)

    network = run_real(program)
    assert network.conservation().missing == 1
    assert any("not conserved" in reason for reason in network.certificate().reasons)


def test_a_stranger_on_the_same_machine_is_counted_and_ignored(run_real):
    got = []

    async def program(network, nursery):
        _, receiver = a_pair(network, lambda data, source: got.append(data))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(bytes(100), receiver.address)
            stranger.sendto(b"", receiver.address)
            await settle()

    network = run_real(program)
    assert (network.foreign, got) == (2, [])


def test_no_socket_starves_the_others_and_a_handler_may_close_its_own(run_real):
    order = []

    async def program(network, nursery):
        sender = network.add_host("a").open_udp(lambda data, source: None)

        def first_closes(data, source):
            order.append(data)
            ends[0].close()

        ends = [
            network.add_host("b").open_udp(first_closes),
            network.add_host("c").open_udp(lambda data, source: order.append(data)),
        ]
        for number in range(3):
            for end, name in zip(ends, b"bc", strict=True):
                sender.send(bytes([name, number]), end.address)
        await settle(10)

    counts = run_real(program).fate_counts()
    assert sorted(order) == [b"b\x00", b"c\x00", b"c\x01", b"c\x02"]
    assert (counts["delivered"], counts["destination_down"]) == (4, 2)


def test_what_lies_in_sockets_at_the_end_counts_as_delivered_and_reaches_no_handler(run_real):
    got = []

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: got.append(data))
        sender.send(b"x", receiver.address)
        into_the_kernel(network)

    network = run_real(program)
    assert (network.fate_counts()["delivered"], got) == (1, [])
    assert not network.wire.endpoints


def test_lag_is_measured_while_the_network_runs(run_real):
    async def program(network, nursery):
        await settle(20)

    assert run_real(program).lag.histogram.count >= 2


def test_packets_in_flight_when_the_network_ends_are_still_accounted_for():
    async def main():
        clock = RealTime()
        network = Network(clock, run_seed=1, default_link=LinkConfig((Delay(0.02),)))
        async with trio.open_nursery() as ground:
            ground.start_soon(clock.run)
            async with trio.open_nursery() as wires:
                await wires.start(network.run)
                sender, receiver = a_pair(network)
                for _ in range(3):
                    sender.send(b"x", receiver.address)
                wires.cancel_scope.cancel()
            assert network.conservation().in_flight == 3
            await settle(10)
            ground.cancel_scope.cancel()
        return network

    account = trio.run(main).conservation()
    assert (account.in_flight, account.dropped[Cause.DESTINATION_DOWN], account.missing) == (0, 3, 0)


def test_what_leaves_together_arrives_one_by_one_in_order_and_from_its_sender(run_real):
    got = []
    sizes = [5, 5, 5, 700, 700, 9, *[1000] * 60, 1]

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: got.append((len(data), data[0], source)))
        for number, size in enumerate(sizes):
            sender.send(bytes([number]) * size, receiver.address)
        await settle(10)
        assert got == [(size, number, sender.address) for number, size in enumerate(sizes)]

    assert run_real(program).conservation().missing == 0


def test_a_kernel_that_cannot_send_segments_gets_frames_one_by_one(run_real, monkeypatch):
    monkeypatch.setattr(departures, "_UDP_SEGMENT", 10_103)  # no kernel knows it
    got = []

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: got.append(data))
        for number in range(20):
            sender.send(bytes([number]), receiver.address)
        await settle(10)
        assert not network.wire._departures._segments

    assert run_real(program).conservation().missing == 0
    assert got == [bytes([number]) for number in range(20)]


def test_what_a_live_change_needs_is_loaded_before_a_run_in_real_time_begins():
    # In a process of its own, as this one has loaded all of it.
    program = """
import sys, trio
from netem.network import Network
from netem.real_time import RealTime

async def main():
    clock = RealTime()
    network = Network(clock, run_seed=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.run)
        await nursery.start(network.run)
        network.add_host("a")
        network.add_host("b")
        before = set(sys.modules)
        network.impair("a", "b", "delay 50ms 5ms 25% distribution normal loss 1% 25% duplicate 1% reorder 1%")
        print(sorted(set(sys.modules) - before))
        nursery.cancel_scope.cancel()

trio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
