"""Another task that counts the turns it gets while a test's work goes on, and work that takes CPU time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio


class Another:
    """How many turns another task had so far."""

    turns = 0

    async def _take_turns(self, each_turn: Callable[[], object]) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.turns += 1
            each_turn()


@asynccontextmanager
async def another_task(each_turn: Callable[[], object] = lambda: None) -> AsyncIterator[Another]:
    """Let another task take turns during the block, and do something in each."""
    another = Another()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(another._take_turns, each_turn)
        yield another
        nursery.cancel_scope.cancel()


def work(cpu_s: float) -> None:
    """Take so much CPU time of this thread."""
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass
