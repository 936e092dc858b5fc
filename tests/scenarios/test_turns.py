"""Long work lets others have their turn, and short work is done at once."""

from __future__ import annotations

import time

import trio

from scenarios.turns import TURN_S, in_turns


def steps(number, each_s):
    for _ in range(number):
        give_up_s = time.thread_time() + each_s
        while time.thread_time() < give_up_s:
            pass
        yield


async def turns_of_another_during(work):
    turns = 0

    async def another():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(another)
        await work
        nursery.cancel_scope.cancel()
    return turns


async def test_long_work_yields_between_its_steps():
    assert await turns_of_another_during(in_turns(steps(8, 1.1 * TURN_S))) >= 5


async def test_all_steps_are_taken():
    done = []
    await in_turns(done.append(number) for number in range(1_000))
    assert done == list(range(1_000))
