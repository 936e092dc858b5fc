"""What a capture says of each packet, read by Wireshark's own reader, agrees with what the network counted."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import trio

from netem import hub
from netem.capture import Capture
from netem.fates import Cause
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.network import Network
from netem.parts import captured
from netem.real_time import RealTime
from netem.tc import parse_tc
from netem.virtual_time import VirtualTime, schedule_deterministically


def run_captured(path, program, *, virtual=True, **parameters):
    """Run `program(network, nursery)` with a capture; return the network and what failed."""
    clock = VirtualTime() if virtual else RealTime()
    failures = []

    async def main():
        with Capture(path, clock, on_failure=failures.append) as capture:
            network = Network(clock, run_seed=1, parts=captured(capture), **parameters)
            async with trio.open_nursery() as nursery:
                await nursery.start(network.run)
                nursery.start_soon(clock.run)
                await program(network, nursery)
                nursery.cancel_scope.cancel()
            return network

    if virtual:
        schedule_deterministically(1)
    return trio.run(main, clock=clock if virtual else None), failures


def fates(seen):
    """Count packets by fate: a cause's name, delivered or in_flight."""
    counts = Counter()
    for packet in seen:
        if not packet.comment.startswith("stream"):
            word = re.match(r"delivered|in flight|dropped \((\w+)\)", packet.comment)
            counts[word[1] or word[0].replace(" ", "_")] += 1
    return counts


async def every_fate(network, nursery):
    """Let every thing happen to datagrams that can: a to b mostly, over a narrow link, into a narrow downlink."""
    a = network.add_host("a", upload_bytes_per_s=100_000, queue_bytes=5_000).open_udp(lambda data, source: None)
    b = network.add_host("b", download_bytes_per_s=50_000, queue_bytes=5_000).open_udp(
        lambda data, source: b.send(b"heard", source)
    )
    c = network.add_host("c").open_udp(lambda data, source: None)
    for number in range(300):
        if number == 100:
            with network.partition(["a"], ["b"]):
                a.send(b"cut", b.address)
        a.send(b"%d" % number + bytes(900), b.address)
        c.send(bytes(300), b.address)
        await trio.sleep(0.002)
    a.send(b"nobody", ("127.99.9.9", 9))
    c.send(b"late", b.address)
    network.crash("b")
    c.send(b"to the dead", b.address)
    b.send(b"of the dead", c.address)
    await trio.sleep(0.1)
    c.send(b"under way", a.address)


NARROW = LinkConfig((Loss(0.1), Delay(0.02, 0.005), Duplicate(0.1)), rate_bytes_per_s=70_000, queue_bytes=4_000)


@pytest.mark.parametrize("virtual", [True, False])
def test_every_transmission_is_there_once_with_the_fate_that_was_counted(tmp_path, read_capture, virtual):
    network, failures = run_captured(tmp_path / "x", every_fate, virtual=virtual, default_link=NARROW)
    seen = read_capture(tmp_path / "x")
    counts = network.fate_counts()
    counted = {name: n for name, n in counts.items() if n and name not in {"sent", "copies"}}
    assert fates(seen) == counted
    assert sum(fates(seen).values()) == counts["sent"] + counts["copies"]
    least = {"delivered", "in_flight", "loss", "link_queue", "uplink_queue", "downlink_queue", "partition"}
    assert least | {"destination_down", "source_down"} <= set(counted)
    assert failures == []


@pytest.mark.parametrize("virtual", [True, False])
def test_packets_have_their_bytes_ends_checksums_and_times_in_order(tmp_path, read_capture, virtual):
    _, _ = run_captured(tmp_path / "x", every_fate, virtual=virtual, default_link=NARROW)
    seen = read_capture(tmp_path / "x")
    assert [packet.time_ns for packet in seen] == sorted(packet.time_ns for packet in seen)
    for packet in seen:
        assert packet.fields["ip.checksum.status"] == packet.fields["udp.checksum.status"] == "1"  # good
    (late,) = [packet for packet in seen if packet.data == b"late"]
    assert late.fields["ip.src_host"] == "c"
    (under_way,) = [packet for packet in seen if packet.data == b"under way"]
    assert under_way.comment == "in flight at the end: c > a k=0"


def test_a_delivery_says_its_own_delay_its_number_and_which_copy_it_is(tmp_path, read_capture):
    async def program(network, nursery):
        a = network.add_host("a").open_udp(lambda data, source: None)
        b = network.add_host("b").open_udp(lambda data, source: None)
        began.append(network.clock.now_ns())
        a.send(b"first", b.address)
        a.send(b"second", b.address)
        await trio.sleep(1)

    began = []
    link = LinkConfig((Delay(0.02), Duplicate(1.0)), rate_bytes_per_s=1_000)
    run_captured(tmp_path / "x", program, default_link=link)
    seen = read_capture(tmp_path / "x")
    assert [packet.comment for packet in seen] == [
        "delivered: a > b k=0 own_delay=20.000000ms total=37.000000ms copy=1/2",
        "delivered: a > b k=0 own_delay=20.000000ms total=54.000000ms copy=2/2",
        "delivered: a > b k=1 own_delay=20.000000ms total=72.000000ms copy=1/2",
        "delivered: a > b k=1 own_delay=20.000000ms total=90.000000ms copy=2/2",
    ]
    assert [packet.time_ns - began[0] for packet in seen] == [37_000_000, 54_000_000, 72_000_000, 90_000_000]


def test_what_the_kernel_drops_is_told_apart_from_what_is_in_flight(tmp_path, read_capture, monkeypatch):
    monkeypatch.setattr(hub, "_RECEIVE_BUFFER_BYTES", 16 * 1024)

    async def program(network, nursery):
        a = network.add_host("a").open_udp(lambda data, source: None)
        b = network.add_host("b").open_udp(lambda data, source: None)
        for _ in range(400):
            a.send(bytes(1000), b.address)
        for _ in range(10):
            await trio.sleep(0.005)

    network, _ = run_captured(tmp_path / "x", program, virtual=False)
    dropped = network.conservation().dropped[Cause.KERNEL]
    assert dropped > 100
    assert fates(read_capture(tmp_path / "x")) == {"kernel": dropped, "delivered": 400 - dropped}


@pytest.mark.parametrize("virtual", [True, False])
def test_a_stream_is_a_conversation_that_wireshark_can_follow(tmp_path, read_capture, virtual):
    said = bytes(range(256)) * 300

    async def program(network, nursery):
        async def serve(stream):
            heard = bytearray()
            while data := await stream.receive_some():
                heard += data
            await stream.send_all(heard[::-1])

        address = await network.add_host("b").listen_tcp(serve, nursery=nursery)
        stream = await network.add_host("a").connect_tcp(address)
        await stream.send_all(said)
        await stream.send_eof()
        answer = bytearray()
        while data := await stream.receive_some():
            answer += data
        assert bytes(answer) == said[::-1]
        await stream.aclose()
        await trio.sleep(0.1)

    run_captured(tmp_path / "x", program, virtual=virtual, default_link=LinkConfig((Delay(0.005),)))
    seen = read_capture(tmp_path / "x")
    there = [packet for packet in seen if packet.fields["ip.src_host"] == "a"]
    back = [packet for packet in seen if packet.fields["ip.src_host"] == "b"]
    assert b"".join(packet.data for packet in there) == said
    assert b"".join(packet.data for packet in back) == b"\x06" + said[::-1]  # the emulator's own answer comes first
    assert [packet.fields["tcp.flags"] for packet in (there[0], back[0], there[-1], back[-1])] == [
        "0x0002",  # SYN
        "0x0012",  # SYN, ACK
        "0x0011",  # FIN, ACK
        "0x0011",
    ]
    assert all(packet.fields["tcp.checksum.status"] == "1" for packet in seen)
    # Wireshark finds no gap, no segment twice, no acknowledgement of what was not sent.
    troubles = [text for packet in seen if "previous segment" in (text := packet.fields.get("_ws.expert.message", ""))]
    assert troubles == []


def test_a_crash_shows_as_a_reset_at_both_ends(tmp_path, read_capture):
    async def program(network, nursery):
        async def serve(stream):
            await trio.sleep_forever()

        address = await network.add_host("b").listen_tcp(serve, nursery=nursery)
        await network.add_host("a").connect_tcp(address)
        network.crash("b")
        await trio.sleep(0.1)

    run_captured(tmp_path / "x", program)
    ends = [packet.comment for packet in read_capture(tmp_path / "x") if packet.fields["tcp.flags"] == "0x0014"]
    assert sorted(ends) == ["stream reset: a > b", "stream reset: b > a"]


def test_a_full_disk_is_told_once_and_the_network_goes_on(small_disk):
    async def program(network, nursery):
        a = network.add_host("a").open_udp(lambda data, source: None)
        b = network.add_host("b").open_udp(lambda data, source: None)
        for _ in range(200):
            a.send(bytes(1000), b.address)
        await trio.sleep(1)

    with small_disk(60) as directory:
        network, failures = run_captured(directory / "x", program)
    (failure,) = failures
    assert re.fullmatch(r"cannot write .*/x: (No space left on device|File too large)", failure)
    assert network.fate_counts()["delivered"] == 200


@pytest.mark.parametrize("virtual", [True, False])
def test_what_is_held_or_paused_or_damaged_is_told_once_when_its_fate_is_sealed(tmp_path, read_capture, virtual):
    async def program(network, nursery):
        a = network.add_host("a").open_udp(lambda data, source: None)
        b = network.add_host("b").open_udp(lambda data, source: None)
        with network.hold("a", "b"):
            a.send(b"held and released", b.address)
            await trio.sleep(0.05)
        with network.pause("b"):
            a.send(b"read late", b.address)
            b.send(b"sent late", a.address)
            await trio.sleep(0.05)
        await trio.sleep(0.05)
        with network.impair("a", "b", parse_tc("corrupt 100% delay 1ms")):
            a.send(b"damaged", b.address)
        with network.impair("a", "b", parse_tc("corrupt 100% as-loss")):
            a.send(b"found damaged", b.address)
        await trio.sleep(0.05)
        network._held = network.hold("a", "b")
        a.send(b"held to the end", b.address)
        await trio.sleep(0.05)

    link = LinkConfig((Delay(0.005),))
    network, _ = run_captured(tmp_path / "x", program, virtual=virtual, default_link=link)
    seen = {packet.data: packet for packet in read_capture(tmp_path / "x")}
    counts = {name: n for name, n in network.fate_counts().items() if n and name not in {"sent", "copies"}}
    assert counts == {"delivered": 4, "corrupt": 1, "in_flight": 1}
    assert fates(seen.values()) == counts
    assert seen[b"held to the end"].comment.startswith("in flight at the end: a > b")
    assert seen[b"found damaged"].comment.startswith("dropped (corrupt): a > b")
    (damaged,) = [packet for data, packet in seen.items() if len(data) == 7]
    assert damaged.comment.endswith("corrupted")
    (held,) = [packet for data, packet in seen.items() if data == b"held and released"]
    assert float(re.search(r"total=([\d.]+)ms", held.comment)[1]) >= 49.9
