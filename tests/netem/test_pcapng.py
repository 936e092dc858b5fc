"""pcapng blocks and IP packets, as Wireshark's own reader sees them, whatever their contents."""

from __future__ import annotations

import io

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netem import pcapng
from netem.capture_merge import merge
from netem.ip_packet import Flags, tcp_packet, udp_packet

HERE, THERE = ("127.1.0.1", 40_000), ("127.1.0.2", 7)
COMMENTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=80)
PACKETS = st.tuples(st.integers(0, 2**62), st.binary(max_size=1200), COMMENTS)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PACKETS, min_size=1, max_size=80))
def test_any_bytes_comments_and_times_come_back(tmp_path, read_capture, packets):
    file = pcapng.head("test")
    for number, (time_ns, data, comment) in enumerate(packets):
        file += pcapng.packet(time_ns, udp_packet(HERE, THERE, data, number=number), comment)
    (tmp_path / "x").write_bytes(file)
    seen = read_capture(tmp_path / "x")
    assert [(packet.time_ns, packet.data, packet.comment) for packet in seen] == packets
    assert {packet.fields["udp.checksum.status"] for packet in seen} == {"1"}


def test_checksums_hold_where_the_sum_is_all_ones(tmp_path, read_capture):
    # Two free bytes let each checksum take every value; those at both ends of the range are where mistakes hide.
    flags = Flags.ACK | Flags.PSH
    datagrams = [udp_packet(HERE, THERE, word.to_bytes(2), number=word) for word in range(65_536)]
    segments = [tcp_packet(HERE, THERE, b"odd", sequence=word, acknowledged=7, flags=flags) for word in range(65_536)]
    edges = {b"\x00\x00", b"\x00\x01", b"\xff\xfe", b"\xff\xff"}
    chosen = [packet for packet in datagrams if packet[26:28] in edges or packet[10:12] in edges]
    chosen += [packet for packet in segments if packet[36:38] in edges]
    assert b"\xff\xff" in {packet[26:28] for packet in chosen}
    assert b"\x00\x00" not in {packet[26:28] for packet in datagrams}  # it would mean that there is none
    (tmp_path / "x").write_bytes(pcapng.head("test") + b"".join(pcapng.packet(0, packet, "") for packet in chosen))
    seen = read_capture(tmp_path / "x")
    assert len(seen) == len(chosen) > 8
    checks = {packet.fields.get("udp.checksum.status") or packet.fields.get("tcp.checksum.status") for packet in seen}
    assert checks == {"1"}
    assert {packet.fields["ip.checksum.status"] for packet in seen} == {"1"}


def test_a_file_that_was_cut_off_is_read_up_to_there():
    whole = pcapng.head("test") + pcapng.packet(5, b"one", "1") + pcapng.packet(6, b"two", "2")
    for cut in range(1, 8):
        read = list(pcapng.blocks(io.BytesIO(whole[:-cut])))
        assert [time_ns for time_ns, _ in read] == [None, None, 5]
    assert b"".join(block for _, block in pcapng.blocks(io.BytesIO(whole))) == whole


def test_a_merged_file_is_in_the_order_of_time_with_each_name_once(tmp_path, read_capture):
    parts = []
    for place, times_ns in enumerate([[1, 4, 9], [2, 3, 10], []]):
        parts.append(tmp_path / str(place))
        file = pcapng.head("test") + pcapng.name("127.1.0.1", "node-0")
        for time_ns in times_ns:
            file += pcapng.packet(time_ns, udp_packet(HERE, THERE, b"", number=0), f"from {place}")
        parts[-1].write_bytes(file)
    merge(parts, tmp_path / "x")
    assert (tmp_path / "x").read_bytes().count(b"node-0") == 1
    seen = read_capture(tmp_path / "x")
    assert [(packet.time_ns, packet.comment) for packet in seen] == [
        (1, "from 0"),
        (2, "from 1"),
        (3, "from 1"),
        (4, "from 0"),
        (9, "from 0"),
        (10, "from 1"),
    ]
    assert {packet.fields["ip.src_host"] for packet in seen} == {"node-0"}
