"""trio: the sums of a run's processes, read at the same moments and added up: once a second, or as seldom as keeps that cheap.

The first process asks all workers at once and reads its own part meanwhile. What one process sent and another has not received yet
would else look lost.

Source: DESIGN section 3 (several processes), section 5 (what is shown of a run).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Protocol

import trio

from netem.network import Network
from netem.reader import Reader
from netem.reading import Reading, Timing, Traffic
from scenarios.turns import in_turns

ROUND_S = 1.0
LINKS_PER_S = 7_000  # that a process reads: some 5 ms of CPU
PATIENCE_S = 5.0
LAST = 0  # the number of a worker's last reading


async def read(reader: Reader) -> Reading:
    """Read this process's part of a network; others have their turn meanwhile."""
    await in_turns(reader.read())
    return reader.reading()


class Workers(Protocol):
    """What is asked of the workers."""

    def ask(self, number: int) -> int:
        """Ask those that take part for a reading with that number, from 1 on; return how many were asked."""
        ...


class Pool:
    """All of a network's readings in its first process, which puts it into `network.readings`.

    Attributes:
        traffic: as it last was in all processes; see `netem.reading.Readings`.
    """

    def __init__(self, network: Network, workers: Workers) -> None:
        self.traffic = Traffic()
        self._reader = Reader(network)
        self._workers = workers
        self._timing = Timing()
        self._number = 0
        self._answers: dict[int, Reading] = {}  # by worker, of this round
        self._last: dict[int, Reading] = {}
        self._answered = trio.Event()
        self._awaited = 0

    def read(self) -> Iterator[None]:
        """See `Readings`: `run` does it."""
        return iter(())

    def timing(self) -> Timing:
        """See `Readings`."""
        return self._timing

    def take(self, worker: int, number: int, reading: Reading) -> None:
        """Take a worker's answer."""
        if number == LAST:
            self._last[worker] = reading
        elif number == self._number:  # else it came too late
            self._answers[worker] = reading
            if len(self._answers) == self._awaited:
                self._answered.set()

    async def run(self) -> None:
        """Read again and again, until cancelled."""
        while True:
            due_s = trio.current_time() + ROUND_S
            links = await self._round()
            due_s += ROUND_S * (math.ceil(links / LINKS_PER_S) - 1 if links else 0)
            await trio.sleep_until(max(due_s, trio.current_time()))

    async def _round(self) -> int:
        """Read once; return how many links that process knows that knows most."""
        self._number += 1
        self._answers.clear()
        self._answered = trio.Event()
        self._awaited = self._workers.ask(self._number)
        own = await read(self._reader)
        with trio.move_on_after(PATIENCE_S):
            if self._awaited:
                await self._answered.wait()
                return self._put_together(own, self._answers)
        return 0

    def finish(self) -> None:
        """Put together what all processes had in the end; every worker has told its last reading."""
        for _ in self._reader.read():
            pass
        self._put_together(self._reader.reading(), self._last)

    def _put_together(self, own: Reading, others: dict[int, Reading]) -> int:
        whole = functools.reduce(Reading.plus, others.values(), own)
        self.traffic, self._timing = whole.traffic, whole.timing
        return whole.links
