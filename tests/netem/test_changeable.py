"""Live changes: guards of links, holds, pauses, and streams that are reset or left half open, under both clocks."""

from __future__ import annotations

import pytest
import trio

from netem import changes
from netem.errors import ConfigError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.network import Network
from netem.virtual_time import VirtualTime

DELAYED = LinkConfig((Delay(0.015),))
BROKEN = LinkConfig((Loss(1.0),))


async def settle(rounds=8):
    """Give packets 5 ms a round; many short waits survive a machine that stops for a while, one long one does not."""
    for _ in range(rounds):
        await trio.sleep(0.005)


def two(network, **access):
    got = []
    a, b = [
        network.add_host(name, **access).open_udp(lambda data, source, name=name: got.append((name, data)))
        for name in "ab"
    ]
    return a, b, got


def test_a_guard_restores_what_a_link_did_whatever_the_order_in_which_guards_end(run_virtual):
    async def program(network, nursery):
        a, b, got = two(network)

        async def passes():
            before = len(got)
            a.send(b"x", b.address)
            await settle()
            return len(got) > before

        outer = network.impair("a", "b", BROKEN)
        inner = network.impair("a", "b", "none")
        assert await passes()
        outer.end()
        assert await passes()
        with network.impair_all("loss 100%"):
            assert not await passes()
            with network.impair(["a", "b"], ["b", "a"], "delay 0ms"):  # back to zero
                assert await passes()
            assert not await passes()
        inner.end()
        assert network.links.config(("a", "b")) == DELAYED
        network.impair("a", "b", BROKEN)  # without a guard it stays
        assert not await passes()
        network.clear([("a", "b")])
        assert await passes()
        network.impair_all(BROKEN)
        network.clear()
        assert await passes()

    run_virtual(program, default_link=DELAYED)


def test_what_is_held_is_in_flight_and_arrives_in_order_once_released(run_either):
    async def program(network, nursery):
        a, b, got = two(network)
        for number in range(5):
            a.send(b"under way %d" % number, b.address)
        with network.hold("a", "b"):
            for number in range(5):
                a.send(b"sent later %d" % number, b.address)
            b.send(b"back", a.address)
            await settle()
            assert got == []
            assert network.conservation().in_flight == 11
            assert network.conservation().missing == 0
        await settle()
        there = [data for name, data in got if name == "b"]
        assert there == [b"under way %d" % number for number in range(5)] + [b"sent later %d" % n for n in range(5)]
        assert len(got) == 11

    network = run_either(program, default_link=DELAYED)
    assert network.conservation().missing == 0
    assert network.conservation().in_flight == 0


def test_what_was_held_has_the_delay_of_its_link(run_virtual):
    async def program(network, nursery):
        a, b, _ = two(network, download_bytes_per_s=1e6)
        for _ in range(400):
            a.send(b"x", b.address)
        with network.hold("a", "b", one_way=True):
            await trio.sleep(5)
        await settle()

    certificate = run_virtual(program, default_link=DELAYED).certificate()
    assert certificate.delay_s.ok
    assert certificate.conservation.delivered == 400


def test_a_run_that_ends_during_a_hold_has_lost_nothing(run_either):
    async def program(network, nursery):
        a, b, _ = two(network)
        network.hold("a", "b")
        a.send(b"x", b.address)
        await settle()

    kept = run_either(program, default_link=DELAYED).conservation()
    assert (kept.in_flight, kept.missing) == (1, 0)


def test_overlapping_holds_release_when_the_last_one_ends(run_virtual):
    async def program(network, nursery):
        a, b, got = two(network)
        outer = network.hold("a", "b")
        with network.hold("b", "a", one_way=True):
            outer.end()
            a.send(b"there", b.address)
            b.send(b"back", a.address)
            await settle()
            assert got == [("b", b"there")]
        await settle()
        assert got[1:] == [("a", b"back")]

    run_virtual(program)


def test_a_hold_stalls_streams(run_either):
    async def program(network, nursery):
        async def echo(stream):
            await stream.send_all(await stream.receive_some())

        network.add_host("a")
        address = await network.add_host("b").listen_tcp(echo, nursery=nursery)
        async with await network.hosts["a"].connect_tcp(address) as stream:
            with network.hold("a", "b"):
                await stream.send_all(b"x")
                with trio.move_on_after(0.1) as early:
                    await stream.receive_some()
                assert early.cancelled_caught
            assert await stream.receive_some() == b"x"

    run_either(program)


def test_a_paused_host_handles_nothing_sends_nothing_and_loses_nothing(run_either):
    async def program(network, nursery):
        a, b, got = two(network)
        host, fired = network.hosts["b"], []
        host.clock.call_at(host.clock.now_ns() + 5_000_000, fired.append, "timer")
        with network.pause("b"):
            a.send(b"1", b.address)
            a.send(b"2", b.address)
            b.send(b"from a task", a.address)
            with network.pause("b"):
                await settle()
            await settle()
            assert (got, fired) == ([], [])
            assert network.fate_counts()["sent"] == 2
        assert got == [("b", b"1"), ("b", b"2")]
        assert fired == ["timer"]
        await settle()
        assert got[2:] == [("a", b"from a task")]
        a.send(b"3", b.address)
        await settle()
        assert got[3:] == [("b", b"3")]

    network = run_either(program, default_link=DELAYED)
    assert network.conservation().missing == 0
    assert network.fate_counts()["delivered"] == 4


def test_streams_wait_while_either_end_is_paused(run_either):
    async def program(network, nursery):
        async def echo(stream):
            while data := await stream.receive_some():
                await stream.send_all(data)

        network.add_host("a")
        address = await network.add_host("b").listen_tcp(echo, nursery=nursery)
        async with await network.hosts["a"].connect_tcp(address) as stream:
            for paused in "ab":
                with network.pause(paused):
                    with trio.move_on_after(0.1) as early:
                        await stream.send_all(b"x")
                        await stream.receive_some()
                    assert early.cancelled_caught
                if paused == "a":  # it was not sent
                    await stream.send_all(b"x")
                assert await stream.receive_some() == b"x"

    run_either(program)


def test_a_crash_ends_what_a_paused_host_had_not_read(run_virtual):
    async def program(network, nursery):
        a, b, got = two(network)
        with network.pause("b"):
            a.send(b"x", b.address)
            await settle()
            with network.crash("b"):
                pass
            again = network.hosts["b"].open_udp(lambda data, source: got.append(data), port=b.address[1])
            a.send(b"y", again.address)
            await settle()
            assert got == []
        assert got == [b"y"]

    run_virtual(program)


async def connected(network, nursery):
    """Return the ends of a stream from a to b, and those of another one to another port."""
    ends = []

    async def keep(stream):
        ends.append(stream)
        await trio.sleep_forever()

    network.add_host("a")
    network.add_host("b")
    for _ in range(2):
        address = await network.hosts["b"].listen_tcp(keep, nursery=nursery)
        ends.append(await network.hosts["a"].connect_tcp(address))
        await settle(1)
    ours = [end for end in ends if end._lane.source.name == "a"]
    theirs = [end for end in ends if end._lane.source.name == "b"]
    return list(zip(ours, theirs, strict=True)), address[1]


def test_a_reset_breaks_both_ends_of_the_streams_it_selects(run_either):
    async def program(network, nursery):
        (kept, (ours, theirs)), port = await connected(network, nursery)
        network.reset_streams("b", "a", port=port)
        for end in (ours, theirs):
            with pytest.raises(trio.BrokenResourceError):
                await end.receive_some()
        await kept[0].send_all(b"x")
        assert await kept[1].receive_some() == b"x"
        network.reset_streams("a", "b")
        with pytest.raises(trio.BrokenResourceError):
            await kept[0].receive_some()

    run_either(program)


def test_half_open_one_end_is_gone_and_the_other_goes_on_in_vain(run_either):
    async def program(network, nursery):
        ((ours, theirs), _), _ = await connected(network, nursery)
        network.half_open("b", "a")
        with pytest.raises(trio.BrokenResourceError):
            await theirs.receive_some()
        await theirs.aclose()
        await settle()
        with trio.move_on_after(0.1) as silent:
            await ours.receive_some()
        assert silent.cancelled_caught
        await ours.send_all(bytes(64 * 1024))
        with trio.move_on_after(0.1) as full:
            await ours.send_all(b"x")
        assert full.cancelled_caught
        await ours.aclose()
        await settle()

    run_either(program)


def test_every_process_makes_the_changes_that_one_makes():
    told = []
    here, there = (Network(VirtualTime(), run_seed=1, mirror=mirror) for mirror in (told.append, None))
    for network in (here, there):
        network.add_host("a")
        network.add_host("b")

    def replay():
        for change in told:
            there.apply(change)
        told.clear()
        return there

    guards = [
        here.impair_all(BROKEN),
        here.impair("a", "b", DELAYED),
        here.hold("a", "b"),
        here.partition("b", "a", one_way=True),
        here.pause("a"),
        here.skew("b", offset_s=2),
    ]
    assert replay().links.config(("a", "b")) == DELAYED
    assert there.links.config(("b", "a")) == BROKEN
    assert there.links.held_pairs() == [("a", "b"), ("b", "a")]
    assert there.links.cut_pairs() == [("b", "a")]
    assert there.hosts["a"].paused
    assert there.hosts["b"].clock.now_ns() == there.clock.now_ns() + 2 * 10**9
    for guard in guards:
        guard.end()
        guard.end()  # idempotent
    assert replay().links.config(("a", "b")) == LinkConfig()
    assert there.links.held_pairs() == there.links.cut_pairs() == []
    assert not there.hosts["a"].paused
    assert there.hosts["b"].clock.now_ns() == there.clock.now_ns()
    here.half_open("a", "b", port=5)
    here.reset_streams("a", "b")
    assert told == [changes.Vanish(("a", "b"), 5), changes.Reset(("a", "b"), 0)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda network: network.impair("a", "z", "loss 1%"), "host"),
        (lambda network: network.impair("a", "b", "loss -1%"), "loss"),
        (lambda network: network.impair("a", "b", "lag 5ms"), "impair"),
        (lambda network: network.clear([("a", "z")]), "host"),
        (lambda network: network.hold("a", ["a", "b"]), "hold"),
        (lambda network: network.pause("z"), "host"),
        (lambda network: network.reset_streams("a", "z"), "host"),
        (lambda network: network.half_open("z", "a"), "host"),
        (lambda network: network.impair("a", ["a"], "loss 1%"), "impair"),
        (lambda network: network.impair([], "b", "loss 1%"), "impair"),
        (lambda network: network.partition([], "b"), "partition"),
        (lambda network: network.hold("a", []), "hold"),
        (lambda network: network.reset_streams("a", "a"), "reset"),
        (lambda network: network.half_open("b", "b"), "half_open"),
        (lambda network: network.reset_streams("a", "b", port=-1), "reset port"),
        (lambda network: network.half_open("a", "b", port=65_536), "half_open port"),
    ],
)
def test_changes_that_make_no_sense_are_refused_and_change_nothing(wrong, field):
    told = []
    network = Network(VirtualTime(), run_seed=1, mirror=told.append, on_fault=lambda *fault: told.append(fault))
    network.add_host("a")
    network.add_host("b")
    with pytest.raises(ConfigError) as caught:
        wrong(network)
    assert caught.value.field == field
    assert told == []
