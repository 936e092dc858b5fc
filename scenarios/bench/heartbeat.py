"""trio: what many nodes cost that each send ten small messages a second: one hub against tasks of their own.

Each node sends to the next, at its own phase, over an ideal network. The subject uses what nodes have, `call_at` and
`Endpoint.send`, with a handler at the other end. The baseline has a trio socket a node, one task that sleeps and sends, and one
that receives.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import trio
import trio.testing

from netem.clock import S
from netem.hub import bind_udp
from netem.network import Network
from netem.randomness import keyed_generator
from netem.real_time import RealTime
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns

NODES = 3_000
PERIOD_S = 0.1
BEATS = 10
DATA = bytes(100)


class Heartbeat(Bench):
    """One hub against one task per socket."""

    name = "heartbeat"
    goal = "CPU of 3,000 nodes at 10 messages/s at least 3 times below one trio task per socket (at most 0.333 times)"

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield CPU microseconds per message."""
        nodes = effort.of(NODES, least=2)
        beats = effort.of(BEATS, least=2)
        subject, baseline = take_turns(
            lambda: trio.run(_hub_us, nodes, beats),
            lambda: trio.run(_tasks_us, nodes, beats),
            repetitions=effort.repetitions,
        )
        yield Figure(
            name=self.name,
            what=f"{nodes:,} nodes at 10 messages/s through the hub, over one sending and one receiving task a node",
            unit="us CPU/message",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=1 / 3, at_most=True),
            note="opening and closing the sockets is not counted",
        )


def _phases_s(nodes: int) -> list[float]:
    phases: list[float] = keyed_generator(1, "bench", "heartbeat").uniform(0, PERIOD_S, nodes).tolist()
    return phases


async def _hub_us(nodes: int, beats: int) -> float:
    clock = RealTime()
    network = Network(clock, run_seed=1)
    received = 0
    arrived = trio.Event()

    def receive(*_: object) -> None:
        nonlocal received
        received += 1
        if received == nodes * beats:
            arrived.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        endpoints = [network.add_host(f"node-{n}").open_udp(receive) for n in range(nodes)]

        def beat(number: int, due_ns: int, left: int) -> None:
            endpoints[number].send(DATA, endpoints[(number + 1) % nodes].address)
            if left > 1:
                later_ns = due_ns + round(PERIOD_S * S)
                clock.call_at(later_ns, beat, number, later_ns, left - 1)

        began_s, start_ns = time.process_time(), clock.now_ns()
        for number, phase_s in enumerate(_phases_s(nodes)):
            due_ns = start_ns + round(phase_s * S)
            clock.call_at(due_ns, beat, number, due_ns, beats)
        nursery.start_soon(clock.run)
        await arrived.wait()
        cost_s = time.process_time() - began_s
        nursery.cancel_scope.cancel()
    return cost_s / received * 1e6


async def _tasks_us(nodes: int, beats: int) -> float:
    sockets = [trio.socket.from_stdlib_socket(bind_udp(("127.0.0.1", 0))) for _ in range(nodes)]
    addresses = [sock.getsockname() for sock in sockets]
    received = 0
    arrived = trio.Event()

    async def receive(sock: trio.socket.SocketType) -> None:
        nonlocal received
        while True:
            await sock.recvfrom(2048)
            received += 1
            if received == nodes * beats:
                arrived.set()

    async def beat(number: int, due_s: float) -> None:
        for _ in range(beats):
            await trio.sleep_until(due_s)
            await sockets[number].sendto(DATA, addresses[(number + 1) % nodes])
            due_s += PERIOD_S

    async with trio.open_nursery() as nursery:
        for sock in sockets:
            nursery.start_soon(receive, sock)
        await trio.testing.wait_all_tasks_blocked()
        began_s, start_s = time.process_time(), trio.current_time()
        for number, phase_s in enumerate(_phases_s(nodes)):
            nursery.start_soon(beat, number, start_s + phase_s)
        await arrived.wait()
        cost_s = time.process_time() - began_s
        nursery.cancel_scope.cancel()
    for sock in sockets:
        sock.close()
    return cost_s / received * 1e6
