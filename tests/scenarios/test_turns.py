"""Long work lets others have their turn, and short work is done at once."""

from __future__ import annotations

from scenarios.turns import TURN_S, in_turns
from tests.scenarios.turn_taking import another_task, work


def steps(number, each_s):
    for _ in range(number):
        work(each_s)
        yield


async def turns_of_another_during(long):
    async with another_task() as another:
        await long
    return another.turns


async def test_long_work_yields_between_its_steps():
    assert await turns_of_another_during(in_turns(steps(8, 1.1 * TURN_S))) >= 5


async def test_all_steps_are_taken():
    done = []
    await in_turns(done.append(number) for number in range(1_000))
    assert done == list(range(1_000))
