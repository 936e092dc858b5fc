"""trio: the wall clock and its departure scheduler."""

from __future__ import annotations

import time

import trio

from netem import real_time, timerfd
from netem.clock import TimerHeap
from netem.real_time import COALESCE_NS, RealTime


def run(program):
    clock = RealTime()

    async def main():
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(clock.run)
                await program(clock)
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_time_is_unix_time_and_never_steps_back():
    async def program(clock):
        assert abs(clock.now_ns() - time.time_ns()) < 10**9
        times_ns = [clock.now_ns() for _ in range(1000)]
        assert times_ns == sorted(times_ns)

    run(program)


def test_timers_fire_in_order_and_no_earlier_than_coalescing_allows():
    fired = []

    async def program(clock):
        start_ns = clock.now_ns()
        done = trio.Event()
        for milliseconds in (9, 1, 5, 3, 7):
            due_ns = start_ns + milliseconds * 1_000_000
            clock.call_at(due_ns, lambda due_ns=due_ns: fired.append((due_ns, clock.now_ns())))
        clock.call_at(start_ns + 10_000_000, done.set)
        await done.wait()

    run(program)
    assert [due_ns for due_ns, _ in fired] == sorted(due_ns for due_ns, _ in fired)
    assert len(fired) == 5
    assert all(at_ns >= due_ns - COALESCE_NS for due_ns, at_ns in fired)


def test_an_earlier_timer_moves_the_alarm_forward():
    async def program(clock):
        early = trio.Event()
        clock.call_at(clock.now_ns() + 3600 * 10**9, lambda: None)
        await trio.sleep(0.005)  # the scheduler now waits an hour
        clock.call_at(clock.now_ns() + 1_000_000, early.set)
        await early.wait()

    run(program)


def test_timers_set_by_timers_fire_too():
    async def program(clock):
        done = trio.Event()

        def again(left):
            if left:
                clock.call_at(clock.now_ns() + 100_000, again, left - 1)
            else:
                done.set()

        again(20)
        await done.wait()

    run(program)


def test_a_flood_of_due_timers_lets_tasks_run_in_between(monkeypatch):
    monkeypatch.setattr(real_time, "_TURN_NS", 1)

    async def program(clock):
        seen = []
        fired = []
        for number in range(4 * real_time.MOST_AT_ONCE):
            clock.call_at(0, fired.append, number)
        while len(fired) < 4 * real_time.MOST_AT_ONCE:
            seen.append(len(fired))
            await trio.lowlevel.checkpoint()
        assert fired == sorted(fired)
        assert any(0 < count < 4 * real_time.MOST_AT_ONCE for count in seen)

    run(program)


def alarms_of(timers, *, apart_ns, busy_s):
    """Return how often the alarm was set for so many timers, each set by the one before, while a task keeps the loop busy."""
    alarms = []

    async def program(clock):
        done = trio.Event()
        arm = clock._alarm.arm
        clock._alarm.arm = lambda monotonic_ns: (alarms.append(monotonic_ns), arm(monotonic_ns))

        def again(left):
            if left:
                clock.call_at(clock.now_ns() + apart_ns, again, left - 1)
            else:
                done.set()

        again(timers)
        while busy_s and not done.is_set():
            end_s = time.perf_counter() + busy_s
            while time.perf_counter() < end_s:
                pass
            await trio.lowlevel.checkpoint()
        await done.wait()

    run(program)
    return len(alarms)


def test_no_alarm_is_set_where_a_busy_loop_comes_back_later_than_it_would_ring():
    assert alarms_of(100, apart_ns=150_000, busy_s=0.0005) < 30
    assert alarms_of(10, apart_ns=20_000_000, busy_s=0) >= 10


def test_the_portable_alarm_rings_too(monkeypatch):
    monkeypatch.setattr(real_time, "open_alarm", timerfd.SleepingAlarm)
    test_an_earlier_timer_moves_the_alarm_forward()


def test_a_heap_fires_at_most_so_many_and_only_what_is_due():
    fired: list[int] = []
    heap = TimerHeap()
    for when_ns in (3, 1, 2, 9):
        heap.push(when_ns, fired.append, (when_ns,))
    assert heap.fire_until(5, most=2) == 2
    assert heap.fire_until(5, most=2) == 1
    assert fired == [1, 2, 3]
    assert len(heap.heap) == 1
