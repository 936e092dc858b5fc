"""The fates of a run's packets: recorded in columns, read back whole, and decided again from the seed."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
import trio

from netem.errors import ConfigError
from netem.fate_file import FateFile, join
from netem.fate_reading import read_fates
from netem.network import Network
from netem.randomness import BlockUniforms
from netem.real_time import COALESCE_NS, RealTime
from netem.replay import replay
from netem.tc import parse_tc
from netem.virtual_time import VirtualTime, schedule_deterministically

LINK = parse_tc("delay 10ms 3ms distribution normal loss gemodel 5% 30% duplicate 5% rate 20mbit")
SEED = 7


def record(path, *, virtual, disturb=lambda network: None, link=LINK):
    """Let a and b talk both ways over one kind of link, and return what was recorded."""
    clock = VirtualTime() if virtual else RealTime()
    failures = []

    async def main():
        network = Network(clock, run_seed=SEED, default_link=link)
        file = FateFile(path, network.fates, run_seed=SEED, on_failure=failures.append)
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            nursery.start_soon(clock.run)
            a = network.add_host("a").open_udp(lambda data, source: None)
            b = network.add_host("b").open_udp(lambda data, source: None)
            for number in range(60):
                if number == 30:
                    disturb(network)
                for _ in range(10):
                    a.send(bytes(100), b.address)
                b.send(bytes(100), a.address)
                await trio.sleep(0.002)
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        file.finish(network.routes)
        return network

    if virtual:
        schedule_deterministically(1)
    network = trio.run(main, clock=clock if virtual else None)
    assert failures == []
    return read_fates(path), network


def replays(fates):
    uniforms = BlockUniforms(fates.run_seed)
    return {ends: replay(ends, link, uniforms) for ends, link in fates.links.items()}


def test_the_columns_hold_every_arrival_and_what_each_link_did(tmp_path):
    fates, network = record(tmp_path / "x", virtual=True)
    counts = network.fate_counts()
    assert list(fates.links) == [("a", "b"), ("b", "a")]
    assert sum(len(link.numbers) for link in fates.links.values()) == counts["delivered"]
    assert sum(link.dropped.get("loss", 0) for link in fates.links.values()) == counts["loss"] > 0
    assert sum(link.copies for link in fates.links.values()) == counts["copies"] > 0
    assert fates.links["a", "b"].offered == 600
    places = np.concatenate([link.places for link in fates.links.values()])
    assert sorted(places.tolist()) == list(range(counts["delivered"]))
    delays_ns = np.concatenate([link.delays_ns for link in fates.links.values()])
    assert delays_ns.sum() == network.fates.totals().delay_sum_ns


def test_a_virtual_run_repeats_its_decisions_to_the_nanosecond(tmp_path):
    fates, _ = record(tmp_path / "x", virtual=True)
    for one in replays(fates).values():
        assert one.agrees
        assert one.lost == one.lost_then > 0
        assert one.excess_ns == (0, 0)


def test_the_decisions_of_a_run_over_real_sockets_are_decided_again_to_the_last_packet(tmp_path):
    fates, network = record(tmp_path / "x", virtual=False)
    for ends, one in replays(fates).items():
        link = fates.links[ends]
        assert one.agrees
        assert one.lost == one.lost_then > 0
        arrived = np.bincount(link.numbers, minlength=link.offered).tolist()
        assert arrived == [len(delays) for delays in one.decided]  # nothing else was lost on this host
        assert one.excess_ns[0] >= -COALESCE_NS  # never early; how late is the host's affair
    assert network.conservation().missing == 0


def test_a_live_change_is_replayed_where_it_was_made(tmp_path):
    fates, _ = record(
        tmp_path / "x", virtual=True, disturb=lambda n: n.impair("a", "b", parse_tc("loss 50% delay 1ms"))
    )
    assert len(fates.links["a", "b"].exposures) == 2
    one = replays(fates)["a", "b"]
    assert one.agrees
    assert one.excess_ns == (0, 0)
    assert one.lost > 100


def test_a_live_change_that_no_packet_met_is_none(tmp_path):
    link = parse_tc("delay 10ms 3ms 90% distribution normal loss gemodel 5% 10%")

    def change_and_take_back(network):
        network.impair_all(parse_tc("delay 5ms"))
        network.impair_all(link)

    fates, _ = record(tmp_path / "x", virtual=True, link=link, disturb=change_and_take_back)
    undisturbed, _ = record(tmp_path / "y", virtual=True, link=link)
    for ends, one in replays(fates).items():
        assert one.agrees
        assert one.excess_ns == (0, 0)
        assert fates.links[ends].numbers.tolist() == undisturbed.links[ends].numbers.tolist()


def test_a_record_of_another_seed_or_with_another_packet_does_not_agree(tmp_path):
    fates, _ = record(tmp_path / "x", virtual=True)
    fates.run_seed += 1
    assert not any(one.agrees for one in replays(fates).values())
    fates.run_seed -= 1
    link = fates.links["a", "b"]
    lost = next(number for number, delays in enumerate(replays(fates)["a", "b"].decided) if not delays)
    fates.links["a", "b"] = dataclasses.replace(link, numbers=np.append(link.numbers[1:], lost))
    assert replays(fates)["a", "b"].impossible == [lost]


def test_what_a_partition_took_is_no_decision(tmp_path):
    def cut(network):
        with network.partition(["a"], ["b"]):
            for endpoint in network.hosts["a"].endpoints:
                for _ in range(50):
                    endpoint.send(b"cut", network.hosts["b"].endpoints[0].address)

    fates, _ = record(tmp_path / "x", virtual=True, disturb=cut)
    one = replays(fates)["a", "b"]
    assert (one.agrees, one.cut) == (True, 50)

    def cut_and_change(network):
        cut(network)
        network.impair("a", "b", parse_tc("loss 50%"))

    fates, _ = record(tmp_path / "y", virtual=True, disturb=cut_and_change)
    with pytest.raises(ConfigError, match="not both partitioned and changed"):
        replays(fates)


def test_files_of_several_processes_put_together_are_one(tmp_path):
    one, _ = record(tmp_path / "1", virtual=True)
    other, _ = record(tmp_path / "2", virtual=True)
    join([tmp_path / "1", tmp_path / "2"], tmp_path / "both")
    both = read_fates(tmp_path / "both")
    for ends, link in both.links.items():
        assert link.offered == one.links[ends].offered + other.links[ends].offered
        assert link.numbers.tolist() == [*one.links[ends].numbers, *other.links[ends].numbers]
    places = np.concatenate([link.places for link in both.links.values()])
    assert sorted(places.tolist()) == list(range(len(places)))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "RUN_DIR"),
        (msgspec.msgpack.encode(["fates", 2, 1]), "version 2, not 1"),
        (msgspec.msgpack.encode(["arrivals", b"", b"", b""]), "does not begin"),
        (msgspec.msgpack.encode(["fates", 1, 1]) + b"\x93\xa4link", "cut off"),
        (msgspec.msgpack.encode(["fates", 1, 1]) + msgspec.msgpack.encode(["arrivals", bytes(4), b"", b""]), "differ"),
        (b"\x07", "RUN_DIR"),
    ],
)
def test_fates_that_are_damaged_cut_off_or_of_another_version_are_refused_in_one_line(tmp_path, data, what):
    path = tmp_path / "fates.msgpack"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=what):
        read_fates(path)


def test_a_full_disk_is_told_once(tmp_path):
    (tmp_path / "x").symlink_to("/dev/full")
    failures = []
    network = Network(VirtualTime(), run_seed=1)
    FateFile(tmp_path / "x", network.fates, run_seed=1, on_failure=failures.append).finish([])
    assert failures == [f"cannot write {tmp_path / 'x'}: No space left on device"]
