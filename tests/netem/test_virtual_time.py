"""trio: virtual time: order, exactness, and that a run repeats."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
import trio

from netem.errors import LocalProtocolError
from netem.virtual_time import VIRTUAL_EPOCH_NS, VirtualTime, schedule_deterministically


def run(program):
    clock = VirtualTime()

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clock.run)
            await program(clock, nursery)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)


def test_timers_sleeps_and_deadlines_interleave_in_exact_order():
    trace = []

    async def program(clock, nursery):
        def note(what):
            trace.append((clock.now_ns() - VIRTUAL_EPOCH_NS, what))

        async def sleeper():
            await trio.sleep(0.002)
            note("sleep 2 ms")
            with trio.move_on_after(0.002):
                await trio.sleep_forever()
            note("deadline 4 ms")

        for milliseconds in (5, 3, 1):
            clock.call_at(VIRTUAL_EPOCH_NS + milliseconds * 1_000_000, note, f"timer {milliseconds} ms")
        nursery.start_soon(sleeper)
        await trio.sleep(1)

    run(program)
    assert [what for _, what in trace] == ["timer 1 ms", "sleep 2 ms", "timer 3 ms", "deadline 4 ms", "timer 5 ms"]
    timers_ns = [at_ns for at_ns, what in trace if what.startswith("timer")]
    assert timers_ns == [1_000_000, 3_000_000, 5_000_000]
    assert all(0 <= at_ns - int(what.split()[1]) * 1_000_000 <= 1 for at_ns, what in trace)


def test_timers_of_one_instant_fire_in_order_of_arrival_and_past_ones_at_once():
    trace = []

    async def program(clock, nursery):
        when_ns = clock.now_ns() + 10
        for number in range(1000):
            clock.call_at(when_ns, trace.append, number)
        clock.call_at(when_ns - 10**9, trace.append, "past")
        await trio.sleep(1e-6)

    run(program)
    assert trace == ["past", *range(1000)]


def test_time_advances_only_while_every_task_is_blocked():
    async def program(clock, nursery):
        seen_ns = []
        clock.call_at(clock.now_ns() + 1, lambda: None)
        for _ in range(100):
            await trio.lowlevel.checkpoint()
            seen_ns.append(clock.now_ns())
        assert set(seen_ns) == {VIRTUAL_EPOCH_NS}
        await trio.sleep(3600)
        assert clock.now_ns() == VIRTUAL_EPOCH_NS + 3600 * 10**9

    run(program)


def test_a_task_woken_by_a_timer_runs_before_the_next_instant():
    async def program(clock, nursery):
        event = trio.Event()
        now_ns = clock.now_ns()
        clock.call_at(now_ns + 5, event.set)
        clock.call_at(now_ns + 6, lambda: None)
        await event.wait()
        assert clock.now_ns() == now_ns + 5

    run(program)


async def wait_for_ever(clock, nursery):
    await trio.sleep_forever()


def test_a_program_in_which_nothing_can_happen_again_is_an_error():
    with pytest.RaisesGroup(pytest.RaisesExc(LocalProtocolError, match="stands still")):
        run(wait_for_ever)


_TRACE = textwrap.dedent(
    """
    import hashlib, trio
    from netem.impairments.delay import Delay
    from netem.impairments.loss import Loss
    from netem.link import LinkConfig
    from netem.network import Network
    from netem.virtual_time import VirtualTime, schedule_deterministically

    schedule_deterministically(7)
    clock = VirtualTime()
    trace = []

    async def node(network, name, peers):
        end = network.hosts[name].open_udp(lambda data, source: trace.append((clock.now_ns(), name, data, source)), port=9)
        for turn in range(20):
            await trio.sleep(0.01)  # all at the same instants: only the scheduler's order tells them apart
            trace.append((clock.now_ns(), name))
            for peer in peers:
                end.send(b"%s %d" % (name.encode(), turn), (network.hosts[peer].ip, 9))

    async def talk(network, name, address):
        async with await network.hosts[name].connect_tcp(address) as stream:
            await stream.send_all(name.encode() * 50_000)
            await stream.send_eof()
            while chunk := await stream.receive_some():
                trace.append((clock.now_ns(), name, len(chunk)))

    async def echo(stream):
        while chunk := await stream.receive_some():
            await stream.send_all(chunk)

    async def main():
        network = Network(clock, run_seed=7, default_link=LinkConfig((Loss(0.2), Delay(0.005, 0.004))))
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            nursery.start_soon(clock.run)
            names = list("abcdefgh")
            for name in names:
                network.add_host(name, upload_bytes_per_s=1e6)
            address = await network.hosts["a"].listen_tcp(echo, nursery=nursery)
            async with trio.open_nursery() as nodes:
                for name in names:
                    nodes.start_soon(node, network, name, names)
                for name in names[1:4]:
                    nodes.start_soon(talk, network, name, address)
            nursery.cancel_scope.cancel()
        trace.append(network.fate_counts())

    trio.run(main, clock=clock)
    print(len(trace), hashlib.sha256(repr(trace).encode()).hexdigest())
    """
)


def test_one_seed_gives_one_trace_whatever_the_hash_seed():
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _TRACE],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    traces = [process.communicate(timeout=60)[0] for process in runs]
    assert all(process.returncode == 0 for process in runs)
    assert traces[0] == traces[1]
    assert int(traces[0].split()[0]) > 160


def test_a_trio_release_without_the_private_switch_is_refused(monkeypatch):
    from trio._core import _run

    schedule_deterministically(1)
    assert _run._ALLOW_DETERMINISTIC_SCHEDULING is True
    monkeypatch.delattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING")
    with pytest.raises(LocalProtocolError, match="deterministic"):
        schedule_deterministically(1)


def test_the_private_switch_still_orders_tasks_by_creation_and_seed():
    """Fail when trio keeps the names and drops what they do."""

    def order(seed):
        schedule_deterministically(seed)
        trace = []

        async def program(clock, nursery):
            async def task(number):
                for _ in range(5):
                    trace.append(number)
                    await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as tasks:
                for number in range(50):
                    tasks.start_soon(task, number)

        run(program)
        return trace

    assert order(1) == order(1) != order(2)
