"""trio: messages a second under virtual time, over trio's plain MockClock that jumps by itself.

The node code is the same coroutine in both: sleep, send, ten times a virtual second. The baseline's network is the shortest
that delays messages, one heap and one task; it has no headers, no losses and no accounts.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator

import trio
import trio.testing

from netem.impairments.delay import Delay
from netem.link import LinkConfig
from netem.network import Network
from netem.randomness import keyed_generator
from netem.virtual_time import VirtualTime
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns

MESSAGES = 5_000
PERIOD_S = 0.1
DELAY_S, JITTER_S = 0.02, 0.005
DATA = bytes(100)
Send = Callable[[], None]


class Virtual(Bench):
    """Our virtual clock and network against trio's."""

    name = "virtual"
    goal = "messages/s at 100 and 1,000 nodes at least 4 times trio's MockClock"

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield messages per CPU second, at 100 and at 1,000 nodes."""
        for nodes in (100, 1_000):
            some = effort.of(nodes, least=2)
            each = effort.of(MESSAGES // nodes, least=2)
            subject, baseline = take_turns(
                lambda some=some, each=each: trio.run(_ours_per_s, some, each, clock=VirtualTime()),
                lambda some=some, each=each: trio.run(_plain_per_s, some, each, clock=_mock()),
                repetitions=effort.repetitions,
            )
            yield Figure(
                name=f"virtual, {nodes:,} nodes",
                what="nodes that sleep and send on our clock and network, over MockClock with a heap of messages",
                unit="messages/s of CPU",
                subject=subject,
                baseline=baseline,
                goal=Goal(limit=4.0, at_most=False),
            )


def _mock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


async def _node(phase_s: float, each: int, send: Send) -> None:
    """Send `each` messages, ten a second."""
    next_s = trio.current_time() + phase_s
    for _ in range(each):
        await trio.sleep_until(next_s)
        send()
        next_s += PERIOD_S


async def _nodes(each: int, senders: list[Send]) -> float:
    """Play all nodes; return the CPU seconds that took."""
    phases_s = keyed_generator(1, "bench", "virtual").uniform(0, PERIOD_S, len(senders)).tolist()
    began_s = time.process_time()
    async with trio.open_nursery() as nursery:
        for phase_s, send in zip(phases_s, senders, strict=True):
            nursery.start_soon(_node, phase_s, each, send)
    await trio.sleep(DELAY_S + JITTER_S)
    return time.process_time() - began_s


async def _ours_per_s(nodes: int, each: int) -> float:
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
        cost_s = await _nodes(each, [sender(number) for number in range(nodes)])
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


async def _plain_per_s(nodes: int, each: int) -> float:
    network = _HeapNetwork()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.run)
        cost_s = await _nodes(each, [network.send] * nodes)
        nursery.cancel_scope.cancel()
    return network.received / cost_s
