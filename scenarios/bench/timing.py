"""trio: how punctual departures are against `trio.sleep_until`, and whether 100,000 a second get through.

Packets are asked for in ticks of 1 ms, as an application would, and leave 5 to 25 ms later. The baseline is one task a packet
that sleeps until then. Both note the time and send a real datagram.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator

import trio

from netem.clock import S
from netem.hub import bind_udp
from netem.impairments.delay import Delay
from netem.link import LinkConfig
from netem.network import Network
from netem.randomness import keyed_generator
from netem.real_time import RealTime
from netem.route import HEADER_BYTES, MAX_DATAGRAM_BYTES
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns

TICK_S = 0.001
SHORTEST_S, LONGEST_S = 0.005, 0.025
PACKETS_PER_S = 10_000
FLOOD_PER_S = 100_000
PAIRS = 20  # of hosts that share the flood, as one receiver's socket would be a test of its buffer
LINK = LinkConfig((Delay((LONGEST_S + SHORTEST_S) / 2, (LONGEST_S - SHORTEST_S) / 2),))


class Timing(Bench):
    """Punctuality, and delivery under a flood."""

    name = "timing"
    goal = "median departure error at 10,000 packets/s at most 0.1 times trio.sleep_until's; none lost at 100,000/s"

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield the departure error, then what a flood delivers."""
        packets = effort.of(PACKETS_PER_S, least=20)
        subject, baseline = take_turns(
            lambda: trio.run(_timer_error_us, packets),
            lambda: trio.run(_sleeper_error_us, packets),
            repetitions=effort.repetitions,
        )
        yield Figure(
            name=self.name,
            what="departures by the process's one timer, over a task a packet in trio.sleep_until",
            unit="us, median |error|",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=0.1, at_most=True),
        )
        packets = effort.of(FLOOD_PER_S, least=10 * PAIRS) // PAIRS * PAIRS
        floods = [trio.run(_flood, packets) for _ in range(effort.repetitions)]
        lost = sum(packets - received for received, _ in floods)
        yield Figure(
            name="timing, flood",
            what="datagrams/s sent and delivered, over the 100,000/s asked for; links delay and lose nothing",
            unit="datagrams/s",
            subject=[received / took_s for received, took_s in floods],
            baseline=[float(FLOOD_PER_S)] * len(floods),
            goal=Goal(limit=0.99, at_most=False),
            note=f"{lost:,} of {packets * len(floods):,} were lost" + ("; the goal is none" if lost else ""),
        )


async def _ticks(packets: int, per_s: int, ask: Callable[[int], None]) -> None:
    """Ask for packet 0, 1, ... at a rate, those of a tick together."""
    start_s = trio.current_time()
    each = max(1, round(per_s * TICK_S))
    for first in range(0, packets, each):
        await trio.sleep_until(start_s + first / per_s)
        for number in range(first, min(first + each, packets)):
            ask(number)


def _waits_s(packets: int) -> list[float]:
    waits: list[float] = keyed_generator(1, "bench", "timing").uniform(SHORTEST_S, LONGEST_S, packets).tolist()
    return waits


async def _timer_error_us(packets: int) -> float:
    clock = RealTime()
    waits_s = _waits_s(packets)
    errors_ns: list[int] = []
    departed = trio.Event()

    async def play(send: Callable[[], object]) -> None:
        def depart(due_ns: int) -> None:
            errors_ns.append(abs(clock.now_ns() - due_ns))
            send()
            if len(errors_ns) == packets:
                departed.set()

        def ask(number: int) -> None:
            due_ns = clock.now_ns() + round(waits_s[number] * S)
            clock.call_at(due_ns, depart, due_ns)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(clock.run)
            await _ticks(packets, PACKETS_PER_S, ask)
            await departed.wait()
            nursery.cancel_scope.cancel()

    await _with_socket(play)
    return statistics.median(errors_ns) / 1e3


async def _sleeper_error_us(packets: int) -> float:
    waits_s = _waits_s(packets)
    errors_s: list[float] = []

    async def play(send: Callable[[], object]) -> None:
        async def depart(due_s: float) -> None:
            await trio.sleep_until(due_s)
            errors_s.append(abs(trio.current_time() - due_s))
            send()

        async with trio.open_nursery() as nursery:
            await _ticks(
                packets,
                PACKETS_PER_S,
                lambda number: nursery.start_soon(depart, trio.current_time() + waits_s[number]),
            )

    await _with_socket(play)
    return statistics.median(errors_s) * 1e6


async def _with_socket(play: Callable[[Callable[[], object]], Awaitable[None]]) -> None:
    """Give `play` a function that sends one datagram to where nobody reads: reading is not what is timed here."""
    data = bytes(MAX_DATAGRAM_BYTES)
    with bind_udp(("127.0.0.1", 0)) as sender, bind_udp(("127.0.0.2", 0)) as sink:
        target = sink.getsockname()
        await play(lambda: sender.sendto(data, target))


async def _flood(packets: int) -> tuple[int, float]:
    """Return how many datagrams came through, and how many seconds sending them took."""
    clock = RealTime()
    network = Network(clock, run_seed=1, default_link=LINK)
    data = bytes(MAX_DATAGRAM_BYTES - HEADER_BYTES)
    async with trio.open_nursery() as ground:
        ground.start_soon(clock.run)
        async with trio.open_nursery() as wires:
            await wires.start(network.run)
            senders = [network.add_host(f"sender-{n}").open_udp(lambda *_: None) for n in range(PAIRS)]
            targets = [network.add_host(f"receiver-{n}").open_udp(lambda *_: None).address for n in range(PAIRS)]
            began_s = time.perf_counter()
            await _ticks(
                packets, FLOOD_PER_S, lambda number: senders[number % PAIRS].send(data, targets[number % PAIRS])
            )
            took_s = max(time.perf_counter() - began_s, packets / FLOOD_PER_S)  # the last tick is not waited for
            while any(sender.in_flight for sender in senders):  # noqa: ASYNC110 - only counters say what was lost
                await trio.sleep(LONGEST_S)
            wires.cancel_scope.cancel()  # what lies in sockets is counted as received
        ground.cancel_scope.cancel()
    return network.conservation().delivered, took_s
