"""trio: what the emulated path costs: CPU per packet over a direct drained socket.

Both send 1200-byte datagrams in bursts of 32 over real sockets. The subject is the product's own way, `Endpoint.send` to the
receiver's handler, on the real clock. Its cost is divided by the packets that were delivered: a lost one costs less, and
is not to flatter the figure.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import trio

from netem.hub import bind_udp
from netem.impairments.delay import Delay
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.link import LinkConfig
from netem.network import Network
from netem.real_time import RealTime
from netem.route import HEADER_BYTES, MAX_DATAGRAM_BYTES, Address
from netem.tc import parse_tc
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns

BURST = 32
PACKETS = 20_000
LINK = LinkConfig((GilbertElliott.from_loss(0.01, 2.0), Delay(0.0003, 0.0001)))
EVERYTHING = "delay 300us 100us 25% distribution normal loss gemodel 0.5% 50% duplicate 1% corrupt 1% reorder 1% gap 5 rate 10gbit 28 limit 1000"
UPLOAD_BYTES_PER_S = 1.25e9  # 10 Gbit/s: reckoned for each packet, and never what limits the bench
QUEUE_BYTES = 1024 * 1024
_MOST_IN_FLIGHT = 4 * BURST  # so that a burst is always due, and no socket buffer overflows
_POLL_S = 0.0005
_FROM, _TO = ("127.0.0.1", 0), ("127.0.0.2", 0)


class Path(Bench):
    """The emulated path against a direct one."""

    name = "path"
    goal = (
        "CPU per impaired 1200-byte packet at most 1.5 times a direct drained trio socket's (stretch 1.2), with every impairment on "
        "at most 1.6 times"
    )

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield CPU microseconds per packet."""
        packets = effort.of(PACKETS, least=BURST)
        subject, baseline = take_turns(
            lambda: impaired_us(packets), lambda: direct_us(packets), repetitions=effort.repetitions
        )
        yield Figure(
            name=self.name,
            what="Gilbert-Elliott, jitter, access rate, queue limit and cause counters, over sendto and a drained socket",
            unit="us CPU/packet",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=1.5, at_most=True),
            note="per packet delivered; 1 % are lost, and their cost is borne by the others",
        )
        everything = parse_tc(EVERYTHING)
        subject, baseline = take_turns(
            lambda: impaired_us(packets, everything), lambda: direct_us(packets), repetitions=effort.repetitions
        )
        yield Figure(
            name=f"{self.name}, everything",
            what="besides: correlated normal jitter, duplicates, flipped bits, reordering, rate with overhead, limit in packets",
            unit="us CPU/packet",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=1.6, at_most=True),
            note="slots are left out: what waits for one would be sent in fewer system calls",
        )


def impaired_us(packets: int, link: LinkConfig = LINK) -> float:
    """Return the CPU microseconds that a delivered packet costs on the product's path."""
    return trio.run(_impaired, packets, link)


async def _impaired(packets: int, link: LinkConfig) -> float:
    clock = RealTime()
    network = Network(clock, run_seed=1, default_link=link)
    received = 0

    def receive(_data: bytes, _source: Address) -> None:
        nonlocal received
        received += 1

    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        nursery.start_soon(clock.run)
        host = network.add_host("sender", upload_bytes_per_s=UPLOAD_BYTES_PER_S, queue_bytes=QUEUE_BYTES)
        sender = host.open_udp(lambda *_: None)
        target = network.add_host("receiver").open_udp(receive).address
        data = bytes(MAX_DATAGRAM_BYTES - HEADER_BYTES)
        send = sender.send
        began_s = time.process_time()
        for _ in range(0, packets, BURST):
            for _ in range(BURST):
                send(data, target)
            await trio.lowlevel.checkpoint()
            while sender.in_flight > _MOST_IN_FLIGHT:
                await trio.lowlevel.checkpoint()
        while sender.in_flight or received < sum(route.carried for route in host.routes.values()):  # noqa: ASYNC110 - only counters say what was lost
            await trio.sleep(_POLL_S)
        cost_s = time.process_time() - began_s
        nursery.cancel_scope.cancel()
    return cost_s / received * 1e6


def direct_us(packets: int) -> float:
    """Return the CPU microseconds of sending a packet and reading it from a drained socket under trio."""
    return trio.run(_direct, packets)


async def _direct(packets: int) -> float:
    with bind_udp(_FROM) as sender, bind_udp(_TO) as receiver:
        target = receiver.getsockname()
        data = bytes(MAX_DATAGRAM_BYTES)
        began_s = time.process_time()
        for _ in range(0, packets, BURST):
            for _ in range(BURST):
                sender.sendto(data, target)
            await trio.lowlevel.wait_readable(receiver)
            _drain(receiver)
        return (time.process_time() - began_s) / (packets // BURST * BURST) * 1e6


def _drain(sock: socket.socket) -> None:
    while True:
        try:
            sock.recvfrom(2048)
        except BlockingIOError:
            return
