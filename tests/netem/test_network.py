"""trio: the path of datagrams and their accounts, in virtual time unless a test says otherwise."""

from __future__ import annotations

import math
import struct

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.clock import S
from netem.errors import ConfigError, LocalProtocolError
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.network import Network, loopback_ip
from netem.route import HEADER_BYTES
from netem.virtual_time import VirtualTime


def a_pair(network, on_datagram=lambda data, source: None, **target):
    sender = network.add_host("a").open_udp(lambda data, source: None)
    receiver = network.add_host("b", **target).open_udp(on_datagram)
    return sender, receiver


def test_a_datagram_arrives_unchanged_after_its_delay_from_its_sender(run_virtual):
    got = []

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: got.append((data, source, network.clock.now_ns())))
        start_ns = network.clock.now_ns()
        sender.send(b"odds", receiver.address)
        assert got == []
        await trio.sleep(1)
        assert got == [(b"odds", sender.address, start_ns + 20_000_000)]

    network = run_virtual(program, default_link=LinkConfig((Delay(0.02),)))
    assert network.fate_counts()["delivered"] == 1


def test_each_direction_has_a_link_of_its_own(run_virtual):
    times_s = {}

    async def program(network, nursery):
        network.add_host("a")
        network.add_host("b")
        network.impair("a", "b", LinkConfig((Delay(0.3),)))
        network.impair("b", "a", LinkConfig((Delay(0.1),)))
        first = network.hosts["a"].open_udp(lambda data, source: times_s.update(back=trio.current_time()))

        def echo(data, source):
            times_s["there"] = trio.current_time()
            second.send(data, source)

        second = network.hosts["b"].open_udp(echo)
        first.send(b"x", second.address)
        await trio.sleep(1)

    run_virtual(program)
    assert times_s == pytest.approx({"there": 0.3, "back": 0.4})


def test_a_datagram_larger_than_1200_bytes_with_its_header_is_refused_and_not_counted(run_virtual):
    async def program(network, nursery):
        sender, receiver = a_pair(network)
        sender.send(bytes(1200 - HEADER_BYTES), receiver.address)
        with pytest.raises(LocalProtocolError):
            sender.send(bytes(1201 - HEADER_BYTES), receiver.address)

    assert run_virtual(program).fate_counts()["sent"] == 1


def test_an_address_that_nobody_owns_counts_as_destination_down(run_virtual):
    async def program(network, nursery):
        sender, _ = a_pair(network)
        sender.send(b"x", ("127.9.9.9", 4000))

    counts = run_virtual(program).fate_counts()
    assert (counts["sent"], counts["destination_down"]) == (1, 1)


def test_a_closed_endpoint_sends_nothing_and_says_so_in_the_counts(run_virtual):
    async def program(network, nursery):
        sender, receiver = a_pair(network)
        sender.close()
        sender.close()
        sender.send(b"x", receiver.address)

    counts = run_virtual(program).fate_counts()
    assert (counts["sent"], counts["source_down"]) == (1, 1)


def test_the_upload_rate_is_shared_by_all_targets_of_a_host(run_virtual):
    arrivals_s = []

    async def program(network, nursery):
        sender = network.add_host("a", upload_bytes_per_s=1000).open_udp(lambda data, source: None)
        targets = [
            network.add_host(name).open_udp(lambda data, source: arrivals_s.append(trio.current_time()))
            for name in ("b", "c")
        ]
        for target in targets * 2:
            sender.send(bytes(500 - HEADER_BYTES), target.address)
        await trio.sleep(5)

    run_virtual(program)
    assert arrivals_s == pytest.approx([0.5, 1.0, 1.5, 2.0])


def test_the_download_rate_is_shared_by_all_sources_of_a_host(run_virtual):
    arrivals_s = []

    async def program(network, nursery):
        target = network.add_host("z", download_bytes_per_s=1000)
        receiver = target.open_udp(lambda data, source: arrivals_s.append(trio.current_time()))
        for name in ("a", "b", "c"):
            network.add_host(name).open_udp(lambda data, source: None).send(bytes(488), receiver.address)
        await trio.sleep(5)

    network = run_virtual(program, default_link=LinkConfig((Delay(0.1),)))
    assert arrivals_s == pytest.approx([0.6, 1.1, 1.6])
    assert network.certificate().delay_s.realised == pytest.approx(0.1)  # the wait in the queue is not delay


def test_full_access_queues_drop_and_name_their_side(run_virtual):
    async def program(network, nursery):
        slow = {"queue_bytes": 1000, "upload_bytes_per_s": 1000, "download_bytes_per_s": 1000}
        narrow = network.add_host("narrow", **slow).open_udp(lambda data, source: None)
        wide = network.add_host("wide").open_udp(lambda data, source: None)
        for _ in range(5):
            narrow.send(bytes(488), wide.address)
            wide.send(bytes(488), narrow.address)
        await trio.sleep(10)

    counts = run_virtual(program).fate_counts()
    assert (counts["uplink_queue"], counts["downlink_queue"], counts["delivered"]) == (3, 3, 4)


def test_a_link_rate_is_queueing_and_no_delay(run_virtual):
    async def program(network, nursery):
        sender, receiver = a_pair(network)
        for _ in range(4):
            sender.send(bytes(488), receiver.address)
        await trio.sleep(10)

    config = LinkConfig((Delay(0.1), Duplicate(1.0)), rate_bytes_per_s=1000)
    network = run_virtual(program, default_link=config)
    assert network.certificate().delay_s.realised == pytest.approx(0.1)
    assert network.fate_counts()["delivered"] == 8


def test_foreign_frames_are_counted_and_dropped(run_virtual):
    got = []

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: got.append(data))
        receiver.receive(bytes(HEADER_BYTES), ("10.0.0.1", 5))
        receiver.receive(bytes(HEADER_BYTES - 1), sender.address)
        receiver.receive(bytes(HEADER_BYTES), sender.address)  # nothing was ever sent that way
        sender.send(b"x", receiver.address)
        await trio.sleep(1)
        receiver.receive(struct.pack("<IQ", 1, 0)[:-1], sender.address)

    network = run_virtual(program)
    assert (network.foreign, got) == (4, [b"x"])


@settings(max_examples=25, deadline=None)
@given(
    loss_and_duplicate=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    delay=st.builds(Delay, st.floats(0, 0.1), st.floats(0, 0.1)),
    rate=st.sampled_from([math.inf, 20_000.0]),
    access=st.sampled_from([math.inf, 30_000.0]),
    stop_s=st.floats(0, 0.2),
)
def test_packets_are_conserved_whatever_happens_and_whenever_it_stops(
    loss_and_duplicate, delay, *, rate, access, stop_s
):
    clock = VirtualTime()
    loss, duplicate = loss_and_duplicate
    config = LinkConfig((Loss(loss), Duplicate(duplicate), delay), rate_bytes_per_s=rate, queue_bytes=2000)

    async def main():
        network = Network(clock, run_seed=3, default_link=config)
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            nursery.start_soon(clock.run)
            access_link = {"upload_bytes_per_s": access, "download_bytes_per_s": access, "queue_bytes": 3000}
            ends = [network.add_host(name, **access_link).open_udp(lambda data, source: None) for name in "abc"]
            for step in range(60):
                ends[step % 3].send(bytes(300), ends[step * 7 % 3].address)
                await trio.sleep(0.002)
                if step == 20:
                    network.crash("b")
                if step == 30:
                    network.restart("b")
            await trio.sleep(stop_s)
            assert network.conservation().missing == 0
            nursery.cancel_scope.cancel()
        account = network.conservation()
        assert account.sent == 60
        assert account.missing == 0

    trio.run(main, clock=clock)


def test_a_live_change_reaches_the_next_packet_and_no_packet_under_way(run_virtual):
    arrivals_s = []

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: arrivals_s.append(trio.current_time()))
        network.impair_all(LinkConfig((Delay(0.5),)))
        sender.send(b"slow", receiver.address)
        network.impair("a", "b", LinkConfig((Delay(0.1),)))
        sender.send(b"fast", receiver.address)
        network.impair_all(LinkConfig((Delay(0.2),)))
        sender.send(b"middling", receiver.address)
        await trio.sleep(1)

    run_virtual(program)
    assert arrivals_s == pytest.approx([0.1, 0.2, 0.5])


@pytest.mark.parametrize("honest", [True, False])
def test_the_certificate_holds_for_an_honest_run_and_finds_a_receiver_that_misses_a_tenth(run_virtual, honest):
    async def program(network, nursery):
        sender, receiver = a_pair(network)
        record = network.wire._received
        if not honest:
            network.wire._received = lambda link_id, number, *times: number % 10 and record(link_id, number, *times)
        for _ in range(2000):
            sender.send(b"x", receiver.address)
        await trio.sleep(1)

    certificate = run_virtual(program, default_link=LinkConfig((Loss(0.05), Delay(0.01)))).certificate()
    assert certificate.valid is honest
    assert any("not conserved" in reason for reason in certificate.reasons) is not honest
    assert any("loss of a > b is" in reason for reason in certificate.reasons) is not honest


def test_the_same_seed_gives_the_same_fates_and_another_seed_others():
    def fates(run_seed: int) -> list[int]:
        clock = VirtualTime()
        got = []

        async def main():
            network = Network(clock, run_seed=run_seed, default_link=LinkConfig((Loss(0.5),)))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(clock.run)
                sender, receiver = a_pair(network, lambda data, source: got.append(data[0]))
                for number in range(200):
                    sender.send(bytes([number]), receiver.address)
                await trio.sleep(1)
                nursery.cancel_scope.cancel()

        trio.run(main, clock=clock)
        return got

    assert fates(1) == fates(1) != fates(2)


@pytest.mark.parametrize("wrong", [{"upload_bytes_per_s": 0.0}, {"download_bytes_per_s": -1.0}, {"queue_bytes": 0}])
def test_an_access_link_out_of_range_names_its_field(wrong):
    network = Network(VirtualTime(), run_seed=1)
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        network.add_host("a", **wrong)


def test_names_and_ports_are_taken_once(run_either):
    async def program(network, nursery):
        host = network.add_host("a")
        with pytest.raises(ConfigError, match="host"):
            network.add_host("a")
        port = host.open_udp(lambda data, source: None).address[1]
        with pytest.raises(ConfigError, match="port"):
            host.open_udp(lambda data, source: None, port=port)
        other = network.add_host("b").open_udp(lambda data, source: None)
        assert other.address != (host.ip, port)

    run_either(program)


def test_unknown_hosts_are_named_in_the_error():
    network = Network(VirtualTime(), run_seed=1)
    network.add_host("a")
    with pytest.raises(ConfigError, match="'z'"):
        network.impair("a", "z", LinkConfig())


def test_hosts_have_addresses_of_their_own():
    addresses = [loopback_ip(number) for number in range(70_000)]
    assert len(set(addresses)) == len(addresses)
    assert all(address.startswith("127.") and not address.startswith("127.0.") for address in addresses)
    assert all(0 < int(part) < 255 for part in addresses[-1].split("."))
    assert S == 10**9
