"""trio: partitions, crashes and restarts, under both clocks."""

from __future__ import annotations

import pytest
import trio

from netem.errors import ConfigError, LocalProtocolError
from netem.impairments.delay import Delay
from netem.link import LinkConfig
from netem.network import Network
from netem.virtual_time import VirtualTime

DELAYED = LinkConfig((Delay(0.015),))


async def settle(rounds: int = 6) -> None:
    """Give packets 5 ms a round; many short waits survive a machine that stops for a while, one long one does not."""
    for _ in range(rounds):
        await trio.sleep(0.005)


def three(network):
    got = []
    ends = {}
    for name in "abc":
        ends[name] = network.add_host(name).open_udp(lambda data, source, name=name: got.append((name, data)))
    return ends, got


def test_a_partition_cuts_both_ways_and_only_between_its_groups(run_either):
    async def program(network, nursery):
        ends, got = three(network)
        with network.partition(["a"], ["b"]):
            ends["a"].send(b"ab", ends["b"].address)
            ends["b"].send(b"ba", ends["a"].address)
            ends["a"].send(b"ac", ends["c"].address)
            await settle()
        assert got == [("c", b"ac")]
        ends["a"].send(b"again", ends["b"].address)
        await settle()
        assert got[1:] == [("b", b"again")]

    counts = run_either(program).fate_counts()
    assert (counts["sent"], counts["partition"], counts["delivered"]) == (4, 2, 2)


def test_a_one_way_partition_leaves_the_way_back_open(run_virtual):
    async def program(network, nursery):
        ends, got = three(network)
        with network.partition(["a"], ["b", "c"], one_way=True):
            for source, target in ("ab", "ac", "ba", "ca"):
                ends[source].send((source + target).encode(), ends[target].address)
            await settle()
        assert got == [("a", b"ba"), ("a", b"ca")]

    assert run_virtual(program).fate_counts()["partition"] == 2


def test_overlapping_partitions_open_a_pair_when_the_last_one_ends(run_virtual):
    async def program(network, nursery):
        ends, got = three(network)

        async def deliver():
            before = len(got)
            ends["a"].send(b"x", ends["b"].address)
            await settle()
            return len(got) - before

        with network.partition(["a"], ["b"]):
            with network.partition(["a", "c"], ["b"]):
                assert await deliver() == 0
            assert await deliver() == 0
        assert await deliver() == 1

    run_virtual(program)


def test_a_partition_ends_when_its_guard_ends_by_an_error(run_virtual):
    async def program(network, nursery):
        ends, got = three(network)
        with pytest.raises(ValueError, match="inside"), network.partition(["a"], ["b"]):
            raise ValueError("inside")
        ends["a"].send(b"x", ends["b"].address)
        await settle()
        assert got == [("b", b"x")]

    run_virtual(program)


def test_a_packet_under_way_passes_a_partition_that_starts_behind_it(run_virtual):
    async def program(network, nursery):
        ends, got = three(network)
        ends["a"].send(b"x", ends["b"].address)
        with network.partition(["a"], ["b"]):
            await trio.sleep(1)
        assert got == [("b", b"x")]

    run_virtual(program, default_link=LinkConfig((Delay(0.5),)))


def test_a_crash_closes_sockets_and_a_restart_reopens_the_same_port(run_either):
    async def program(network, nursery):
        ends, got = three(network)
        target = ends["b"].address
        network.crash("b")
        assert not network.hosts["b"].up
        with pytest.raises(LocalProtocolError):
            network.hosts["b"].open_udp(lambda data, source: None)
        ends["a"].send(b"lost", target)
        ends["b"].send(b"from the grave", ends["a"].address)
        await settle()
        network.restart("b")
        network.hosts["b"].open_udp(lambda data, source: got.append(("b2", data)), port=target[1])
        ends["a"].send(b"back", target)
        await settle()
        assert got == [("b2", b"back")]

    counts = run_either(program).fate_counts()
    assert (counts["destination_down"], counts["source_down"], counts["delivered"]) == (1, 1, 1)


def test_packets_in_flight_from_a_crashed_host_still_travel_and_its_port_can_be_taken_again(run_either):
    async def program(network, nursery):
        ends, got = three(network)
        port = ends["a"].address[1]
        ends["a"].send(b"first", ends["b"].address)
        network.crash("a")
        network.restart("a")
        again = network.hosts["a"].open_udp(lambda data, source: None, port=port)
        again.send(b"second", ends["b"].address)
        network.crash("a")
        await settle(12)
        assert got == [("b", b"first"), ("b", b"second")]
        network.restart("a")
        network.hosts["a"].open_udp(lambda data, source: None, port=port)

    network = run_either(program, default_link=DELAYED)
    assert network.conservation().missing == 0


def test_packets_that_reach_a_crashed_host_were_sent_in_good_faith(run_either):
    async def program(network, nursery):
        ends, got = three(network)
        ends["a"].send(b"x", ends["b"].address)
        network.crash("b")
        await settle(12)
        assert got == []

    counts = run_either(program, default_link=DELAYED).fate_counts()
    assert (counts["destination_down"], counts["in_flight"]) == (1, 0)


def test_every_fault_is_told():
    told = []
    network = Network(VirtualTime(), run_seed=1, on_fault=lambda kind, what: told.append((kind, what)))
    network.add_host("a")
    network.add_host("b")
    network.impair("a", "b", LinkConfig((Delay(0.01),)))
    with network.partition(["a"], ["b"], one_way=True):
        network.crash("a")
    network.restart("a")
    assert [kind for kind, _ in told] == ["impair", "partition", "crash", "heal", "restart"]
    assert told[0][1] == "a > b: delay 10ms"
    assert told[1][1] == told[3][1] == "a > b"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda network: network.partition(["a"], ["a", "b"]).__enter__(),
        lambda network: network.partition(["a"], ["z"]).__enter__(),
        lambda network: network.crash("z"),
        lambda network: network.restart("a"),
        lambda network: (network.crash("a"), network.crash("a")),
    ],
)
def test_faults_that_make_no_sense_are_refused(wrong):
    network = Network(VirtualTime(), run_seed=1)
    network.add_host("a")
    network.add_host("b")
    with pytest.raises(ConfigError):
        wrong(network)
