"""trio: what the emulated path costs against the obvious relay, which awaits every datagram.

The relay is three plain trio sockets: `await sendto`; in the middle `await recvfrom; await sendto`; then `await recvfrom`. It
impairs nothing, and the subject everything that bench `path` does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import trio

from netem.hub import bind_udp
from netem.route import MAX_DATAGRAM_BYTES
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns
from scenarios.bench.path import BURST, PACKETS, impaired_us


class Relay(Bench):
    """The emulated path against a naive relay."""

    name = "relay"
    goal = "CPU per impaired packet at least 8 times below a naive relay's (at most 0.125 times)"

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield CPU microseconds per packet."""
        packets = effort.of(PACKETS, least=BURST)
        relayed = effort.of(PACKETS // 5, least=BURST)
        subject, baseline = take_turns(
            lambda: impaired_us(packets), lambda: relayed_us(relayed), repetitions=effort.repetitions
        )
        yield Figure(
            name=self.name,
            what="the path of bench `path`, over a relay of await recvfrom, await sendto between two trio sockets",
            unit="us CPU/packet",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=1 / 8, at_most=True),
        )


def relayed_us(packets: int) -> float:
    """Return the CPU microseconds that a packet costs from sender to receiver by way of the relay."""
    return trio.run(_relayed, packets)


def _socket(number: int) -> trio.socket.SocketType:
    return trio.socket.from_stdlib_socket(bind_udp((f"127.0.0.{number}", 0)))


async def _relayed(packets: int) -> float:
    with _socket(1) as sender, _socket(2) as relay, _socket(3) as receiver:
        middle, target = relay.getsockname(), receiver.getsockname()

        async def forward() -> None:
            while True:
                data, _ = await relay.recvfrom(2048)
                await relay.sendto(data, target)

        async def send() -> None:
            data = bytes(MAX_DATAGRAM_BYTES)
            for _ in range(packets):
                await sender.sendto(data, middle)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(forward)
            began_s = time.process_time()
            nursery.start_soon(send)
            for _ in range(packets):
                await receiver.recvfrom(2048)
            cost_s = time.process_time() - began_s
            nursery.cancel_scope.cancel()
    return cost_s / packets * 1e6
