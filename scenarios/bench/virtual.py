"""trio: messages a second under virtual time, over trio's plain MockClock that jumps by itself.

Each node sends ten messages a virtual second. Nodes of ours send most of what they send from timers and handlers (`call_at`);
that is the bench's own figure. A second one runs the baseline's own coroutines on our clock: tasks that sleep. The baseline's
network is the shortest that delays messages, one heap and one task; it has no headers, no losses and no accounts.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

import trio
import trio.testing

from netem.clock import S
from netem.impairments.delay import Delay
from netem.link import LinkConfig
from netem.network import Network
from netem.randomness import keyed_generator
from netem.virtual_time import VirtualTime, schedule_deterministically
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns

MESSAGES = 10_000
PERIOD_S = 0.1
DELAY_S, JITTER_S = 0.02, 0.005
DATA = bytes(100)
Send = Callable[[], None]
Play = Callable[[Sequence[Send], int], Awaitable[None]]


class Virtual(Bench):
    """Our virtual clock and network against trio's."""

    name = "virtual"
    goal = "messages/s of CPU at 100 and at 1,000 nodes at least 4 times trio's MockClock"

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield messages per CPU second at 100 and at 1,000 nodes, by timers and by sleeping tasks."""
        for play, who, goal in (
            (_from_timers, "timers", Goal(limit=4.0, at_most=False)),
            (_from_tasks, "sleeping tasks", None),
        ):
            for nodes in (100, 1_000):
                some = effort.of(nodes, least=2)
                each = effort.of(MESSAGES // nodes, least=2)
                subject, baseline = take_turns(
                    partial(_ours_per_s, play, some, each),
                    partial(_plain_per_s, some, each),
                    repetitions=effort.repetitions,
                )
                yield Figure(
                    name=f"virtual, {nodes:,} nodes, {who}",
                    what=f"{who} on our clock and network, over sleeping tasks and a heap of messages on trio's MockClock",
                    unit="messages/s of CPU",
                    subject=subject,
                    baseline=baseline,
                    goal=goal,
                )


async def _from_tasks(senders: Sequence[Send], each: int) -> None:
    """Let a task a node send `each` messages, ten a second, and return when all have arrived."""
    async with trio.open_nursery() as nursery:
        for phase_s, send in zip(_phases_s(len(senders)), senders, strict=True):
            nursery.start_soon(_node, trio.current_time() + phase_s, each, send)
    await trio.sleep(DELAY_S + JITTER_S)


async def _node(next_s: float, each: int, send: Send) -> None:
    for _ in range(each):
        await trio.sleep_until(next_s)
        send()
        next_s += PERIOD_S


async def _from_timers(senders: Sequence[Send], each: int) -> None:
    """Let a timer a node send `each` messages, ten a second, and return when all have arrived."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, VirtualTime)
    period_ns = round(PERIOD_S * S)

    def beat(send: Send, due_ns: int, left: int) -> None:
        send()
        if left > 1:
            clock.call_at(due_ns + period_ns, beat, send, due_ns + period_ns, left - 1)

    for phase_s, send in zip(_phases_s(len(senders)), senders, strict=True):
        due_ns = clock.now_ns() + round(phase_s * S)
        clock.call_at(due_ns, beat, send, due_ns, each)
    await trio.sleep(each * PERIOD_S + DELAY_S + JITTER_S)


def _phases_s(nodes: int) -> list[float]:
    phases: list[float] = keyed_generator(1, "bench", "virtual").uniform(0, PERIOD_S, nodes).tolist()
    return phases


def _ours_per_s(play: Play, nodes: int, each: int) -> float:
    schedule_deterministically(1)
    return trio.run(_on_our_network, play, nodes, each, clock=VirtualTime())


async def _on_our_network(play: Play, nodes: int, each: int) -> float:
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, VirtualTime)
    network = Network(clock, run_seed=1, default_link=LinkConfig((Delay(DELAY_S, JITTER_S),)))
    received = 0

    def receive(*_: object) -> None:
        nonlocal received
        received += 1

    def sender(number: int) -> Send:
        send, target = endpoints[number].send, endpoints[(number + 1) % nodes].address
        return lambda: send(DATA, target)

    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        nursery.start_soon(clock.run)
        endpoints = [network.add_host(f"node-{n}").open_udp(receive) for n in range(nodes)]
        began_s = time.process_time()
        await play([sender(number) for number in range(nodes)], each)
        cost_s = time.process_time() - began_s
        nursery.cancel_scope.cancel()
    return received / cost_s


class _HeapNetwork:
    """Messages on their way, and one task that delivers them."""

    def __init__(self) -> None:
        self.received = 0
        self._heap: list[tuple[float, int, bytes]] = []
        self._next = itertools.count().__next__
        self._sooner = trio.Event()

    def send(self) -> None:
        due_s = trio.current_time() + random.uniform(DELAY_S - JITTER_S, DELAY_S + JITTER_S)  # noqa: S311 - no secret
        heapq.heappush(self._heap, (due_s, self._next(), DATA))
        if self._heap[0][0] == due_s:
            self._sooner.set()

    async def run(self) -> None:
        heap = self._heap
        while True:
            while heap and heap[0][0] <= trio.current_time():
                heapq.heappop(heap)
                self.received += 1
            self._sooner = trio.Event()
            with trio.CancelScope(deadline=heap[0][0] if heap else math.inf):
                await self._sooner.wait()


def _plain_per_s(nodes: int, each: int) -> float:
    return trio.run(_on_heap_network, nodes, each, clock=trio.testing.MockClock(autojump_threshold=0))


async def _on_heap_network(nodes: int, each: int) -> float:
    network = _HeapNetwork()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.run)
        began_s = time.process_time()
        await _from_tasks([network.send] * nodes, each)
        cost_s = time.process_time() - began_s
        nursery.cancel_scope.cancel()
    return network.received / cost_s
