"""trio: every kind of impairment on whole networks, under both clocks: what arrives, what is counted, what the certificate says."""

import math

import pytest
import trio

from netem.fates import Cause
from netem.impairments.corrupt import flip_bit
from netem.lane import SEGMENT_BYTES
from netem.tc import parse_tc

EVERYTHING = (
    "delay 5ms 1ms 25% distribution paretonormal loss state 1% 40% 10% 50% 0.5% duplicate 2% corrupt 2% reorder 5% gap 3 "
    "rate 100mbit 28 limit 1000 seed 5"
)


def a_pair(network, on_datagram):
    sender = network.add_host("a").open_udp(lambda data, source: None)
    return sender, network.add_host("b").open_udp(on_datagram)


@pytest.mark.parametrize(
    "line",
    [
        EVERYTHING,
        EVERYTHING + " mode kernel",
        "delay 5ms 2ms 75% loss 5% 50% corrupt 5% as-loss ordered",
        "delay 5ms 1ms distribution pareto reorder 25% 50%",
        "slot 2ms 4ms packets 40 delay 1ms loss gemodel 2% 30% limit 2000",
    ],
)
def test_every_packet_has_a_fate_and_honest_runs_are_certified(run_either, line):
    config = parse_tc(line)

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: None)
        for _ in range(150):
            for _ in range(10):
                sender.send(bytes(500), receiver.address)
            await trio.sleep(0.001)
        await trio.sleep(0.3)

    network = run_either(program, default_link=config)
    certificate = network.certificate()
    assert certificate.conservation.missing == 0
    assert certificate.conservation.sent == 1500
    assert certificate.loss.ok
    assert certificate.delay_s.ok
    (route,) = network.routes
    lossy = 1500 + route.link.duplicated - route.link.dropped[Cause.LIMIT]
    rate = config.loss_rate() / (1 + config.copy_rate())
    assert abs(route.link.dropped[Cause.LOSS] / lossy - rate) < 5 * math.sqrt(config.loss_variance(lossy)) + 10 / lossy


def test_the_application_sees_one_flipped_bit(run_either):
    got = []
    data = bytes(range(256))

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: got.append(data))
        for _ in range(400):
            sender.send(data, receiver.address)
            await trio.sleep(0.0002)
        await trio.sleep(0.2)

    network = run_either(program, default_link=parse_tc("corrupt 25% duplicate 20%"))
    flipped = [sum((one ^ other).bit_count() for one, other in zip(data, found, strict=True)) for found in got]
    assert set(flipped) == {0, 1}
    (route,) = network.routes
    assert flipped.count(1) == route.link.corrupted
    assert len(got) == 400 + route.link.duplicated


def test_a_bit_is_flipped_where_it_was_said():
    assert flip_bit(b"\x00\x00", 0.0) == b"\x01\x00"
    assert flip_bit(b"\x00\x00", 0.999999) == b"\x00\x80"
    assert flip_bit(b"\x00\x00", -1.0) == b"\x00\x00"
    assert flip_bit(b"", 0.5) == b""


def test_live_changes_to_and_from_every_kind_lose_no_packet(run_virtual):
    lines = [
        EVERYTHING,
        "loss 1%",
        "delay 1ms 1ms ordered",
        "slot 1ms packets 3",
        EVERYTHING + " mode kernel",
        "limit 5 delay 20ms",
    ]

    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: None)
        for line in lines * 3:
            network.impair_all(parse_tc(line))
            for _ in range(50):
                sender.send(bytes(100), receiver.address)
                await trio.sleep(0.0005)
        await trio.sleep(1)

    network = run_virtual(program)
    assert network.conservation().missing == 0
    assert network.certificate().loss.ok


def test_the_same_seed_gives_the_same_counts(run_virtual):
    async def program(network, nursery):
        sender, receiver = a_pair(network, lambda data, source: None)
        for _ in range(3000):
            sender.send(bytes(500), receiver.address)
            await trio.sleep(0.0005)
        await trio.sleep(1)

    def counts():
        return run_virtual(program, default_link=parse_tc(EVERYTHING)).account().certificate().to_dict()

    assert counts() == counts()


@pytest.mark.parametrize(
    ("line", "least_s"),
    [
        ("rate 800kbit", 0.1),
        ("rate 800kbit 1448", 0.2),
        ("slot 50ms packets 1", 0.05),
        ("corrupt 100%", math.inf),
        ("delay 10ms reorder 50%", 0.0),
        ("limit 1", 0.0),
        ("delay 10ms 5ms ordered", 0.005),
    ],
)
def test_streams_feel_what_can_be_emulated_as_time(run_virtual, line, least_s):
    done_s = []

    async def program(network, nursery):
        a, b = network.add_host("a"), network.add_host("b")

        async def read(stream):
            received = b""
            while chunk := await stream.receive_some():
                received += chunk
            done_s.append((trio.current_time(), received))

        address = await b.listen_tcp(read, nursery=nursery)
        stream = await a.connect_tcp(address)
        network.impair("a", "b", parse_tc(line))
        began_s = trio.current_time()
        data = bytes(range(250)) * 40
        try:
            await stream.send_all(data)
            await stream.aclose()
        except trio.BrokenResourceError:
            done_s.append((math.inf, data))
        await trio.sleep(60)
        ended_s, received = done_s[0]
        assert received == data
        assert ended_s - began_s >= least_s * 10_000 / (7 * SEGMENT_BYTES)

    run_virtual(program)
