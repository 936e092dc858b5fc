"""trio: what it takes to start many nodes in one process: time and memory until all have joined and serve a file.

The subject is the product's own: a tracker with its bank, and peers that connect, sign, agree on keys, are endowed durably
and publish a file. The baseline opens the same sockets and starts three tasks a node, and says nothing to anybody. Each
repetition has a fresh process, so that memory is not what an earlier one left over; links are ideal, so that the time is work and not waiting.
"""

from __future__ import annotations

import gc
import multiprocessing
import resource
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
import trio.testing

from netem.hub import bind_udp
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns
from scenarios.parameters import Params
from scenarios.process import allow_many_sockets, rare_collections
from scenarios.real_bed import real_bed
from tracker.desk import Terms

NODES = 1_000
FILE_BYTES = 1_000
DRAIN_S = 1.0
MOST_REPETITIONS = 5  # each takes seconds


class Nodes(Bench):
    """Real peers against bare sockets and tasks."""

    name = "nodes"
    goal = "1,000 nodes joined and serving within 1 s; KiB per node"

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield seconds and CPU seconds to start, and KiB per node."""
        nodes = effort.of(NODES, least=4)
        subject, baseline = take_turns(
            lambda: _in_fresh_process(start_peers, nodes),
            lambda: _in_fresh_process(start_sockets, nodes),
            repetitions=min(effort.repetitions, MOST_REPETITIONS),
        )
        rows = (
            ("nodes", "s", 0, Goal(limit=1.0, at_most=True, of_subject=True)),
            ("nodes, CPU", "s of CPU", 1, None),
            ("nodes, memory", "KiB/node", 2, None),
        )
        for name, unit, place, goal in rows:
            yield Figure(
                name=name,
                what=f"{nodes:,} peers joined and serving, over as many UDP and TCP sockets with three tasks each",
                unit=unit,
                subject=[cost[place] for cost in subject],
                baseline=[cost[place] for cost in baseline],
                goal=goal,
            )


Cost = tuple[float, float, float]  # seconds, seconds of CPU, KiB a node


def _in_fresh_process(start: Callable[[int], Cost], nodes: int) -> Cost:
    # Spawned, not forked: a fork shares the parent's memory, free lists included.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(start, (nodes,))


def start_peers(nodes: int) -> Cost:
    """Start peers; return what that costs."""
    allow_many_sockets()
    with TemporaryDirectory() as directory, rare_collections():
        return trio.run(_start_peers, nodes, Path(directory))


async def _start_peers(nodes: int, directory: Path) -> Cost:
    shared = directory / "shared"
    shared.write_bytes(bytes(FILE_BYTES))
    async with real_bed(Params(nodes=nodes), directory, drain_s=DRAIN_S) as bed:

        async def start() -> None:
            await bed.start(terms=Terms(), policy="fixed")
            async with trio.open_nursery() as publishing:
                for peer in bed.peers:
                    publishing.start_soon(peer.publish, "shared", shared)

        return await _cost(start, nodes)


def start_sockets(nodes: int) -> Cost:
    """Start bare nodes; return what that costs."""
    allow_many_sockets()
    with rare_collections():
        return trio.run(_start_sockets, nodes)


async def _start_sockets(nodes: int) -> Cost:
    async with trio.open_nursery() as nursery:

        async def start() -> None:
            for _ in range(nodes):
                nursery.start_soon(_listen, await trio.open_tcp_listeners(0, host="127.0.0.1"))
                nursery.start_soon(_receive, trio.socket.from_stdlib_socket(bind_udp(("127.0.0.1", 0))))
                nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()

        cost = await _cost(start, nodes)
        nursery.cancel_scope.cancel()
    return cost


async def _listen(listeners: list[trio.SocketListener]) -> None:
    await trio.serve_listeners(trio.aclose_forcefully, listeners)


async def _receive(sock: trio.socket.SocketType) -> None:
    with sock:
        while True:
            await sock.recvfrom(2048)


async def _cost(start: Callable[[], Awaitable[None]], nodes: int) -> Cost:
    before_kib = _resident_kib()
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    await start()
    took_s, took_cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    return took_s, took_cpu_s, max(_resident_kib() - before_kib, 1) / nodes


def _resident_kib() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024
