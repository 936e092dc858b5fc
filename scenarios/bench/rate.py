"""trio: how exactly a link keeps its rate, from 1 Mbit/s to 1 Gbit/s.

A sender offers a quarter more than the link carries, with jitter, for ten seconds. The rate is what arrived after the first packet,
over the time from the first to the last. High rates are those of the link alone, on a clock of its own: verdicts as every packet
gets, and no socket. Low ones cross real sockets on the real clock, all at once, and are timed where they arrive.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import trio

from netem.clock import S
from netem.impairments.delay import Delay
from netem.link import Link, LinkConfig
from netem.network import Network
from netem.randomness import BlockUniforms
from netem.real_time import RealTime
from netem.route import HEADER_BYTES, MAX_DATAGRAM_BYTES, Address
from scenarios.bench.base import Bench, Effort, Figure, Goal

DURATION_S = 10.0
LINK_MBIT_PER_S = (1, 10, 100, 1000)
SOCKET_MBIT_PER_S = (1, 10, 50)
SOCKET_REPETITIONS = 2  # ten seconds each
OVERLOAD = 1.25
MOST_FACTOR = 1.001
_LEAST_PACKETS = 20
_POLL_S = 0.05
_BEGIN_NS = 1_700_000_000 * S


class Rate(Bench):
    """Realised rates against configured ones."""

    name = "rate"
    goal = "a saturated link's rate within 0.1 % of the configured one, from 1 Mbit/s to 1 Gbit/s over 10 s"

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield the worst of all, then each rate: the realised over the configured rate, or its inverse if that is larger."""
        alone = {mbit: [link_mbit(mbit, effort)] * effort.repetitions for mbit in LINK_MBIT_PER_S}
        runs = [trio.run(_socket_mbit, effort) for _ in range(min(effort.repetitions, SOCKET_REPETITIONS))]
        yield _figure(
            self.name,
            "the worst of the rates below",
            subject=[max(_factor(values[0], mbit) for mbit, values in alone.items())] * effort.repetitions,
            note="always the same: no clock and no socket is involved",
        )
        for mbit, values in alone.items():
            note = f"realised {values[0]:.6f} Mbit/s; the link alone, on a clock of its own"
            yield _figure(
                f"rate, {mbit} Mbit/s", "a link's verdicts", [_factor(one, mbit) for one in values], note=note
            )
        for mbit in SOCKET_MBIT_PER_S:
            realised = [run[mbit] for run in runs]
            note = f"realised {', '.join(f'{one:.6f}' for one in realised)} Mbit/s, by the receiver's clock"
            subject = [_factor(one, mbit) for one in realised]
            yield _figure(f"rate, {mbit} Mbit/s over sockets", "datagrams received", subject, note=note)


def _figure(name: str, what: str, subject: list[float], *, note: str) -> Figure:
    return Figure(
        name=name,
        what=f"{what}: realised over configured rate, or its inverse",
        unit="times the configured rate",
        subject=subject,
        baseline=[1.0] * len(subject),
        goal=Goal(limit=MOST_FACTOR, at_most=True),
        note=note,
    )


def _factor(realised: float, configured: float) -> float:
    return max(realised / configured, configured / realised)


def _config(mbit: int) -> LinkConfig:
    return LinkConfig((Delay(0.02, 0.005),), rate_bytes_per_s=mbit * 125_000.0)


def _gap_s(mbit: int) -> float:
    return MAX_DATAGRAM_BYTES / (OVERLOAD * mbit * 125_000.0)


def _duration_s(mbit: int, effort: Effort) -> float:
    return max(DURATION_S * effort.scale, _LEAST_PACKETS * OVERLOAD * _gap_s(mbit))


def link_mbit(mbit: int, effort: Effort) -> float:
    """Return the rate (Mbit/s) at which a saturated link lets packets through."""
    link = Link(_config(mbit), source="a", target="b", uniforms=BlockUniforms(1), link_id=0)
    verdict = link.verdict
    arrivals_ns = [verdict(now_ns, MAX_DATAGRAM_BYTES) for now_ns in _times_ns(mbit, effort)]
    kept_ns = [arrival_ns for arrival_ns in arrivals_ns if arrival_ns > 0]
    return _rate_of(kept_ns)


def _rate_of(arrivals_ns: Sequence[int]) -> float:
    """Return the rate (Mbit/s) of datagrams that arrived at these times; all at once, as on a host that stood still, is in 1 ns."""
    span_ns = max(arrivals_ns[-1] - arrivals_ns[0], 1)
    return (len(arrivals_ns) - 1) * MAX_DATAGRAM_BYTES * 8e3 / span_ns


def _times_ns(mbit: int, effort: Effort) -> Iterator[int]:
    gap_ns = _gap_s(mbit) * S
    return (_BEGIN_NS + int(number * gap_ns) for number in range(int(_duration_s(mbit, effort) * S / gap_ns)))


async def _socket_mbit(effort: Effort) -> dict[int, float]:
    """Return the rates (Mbit/s) at which receivers get datagrams, by the links' own."""
    clock = RealTime()
    network = Network(clock, run_seed=1)
    arrivals_ns: dict[int, list[int]] = {mbit: [] for mbit in SOCKET_MBIT_PER_S}

    def receive(mbit: int, _data: bytes, _source: Address) -> None:
        arrivals_ns[mbit].append(clock.now_ns())

    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        nursery.start_soon(clock.run)
        async with trio.open_nursery() as senders:
            for mbit in SOCKET_MBIT_PER_S:
                names = f"sender {mbit}", f"receiver {mbit}"
                sender = network.add_host(names[0]).open_udp(lambda *_: None)
                receiver = network.add_host(names[1]).open_udp(functools.partial(receive, mbit))
                network.impair(*names, _config(mbit))
                send = functools.partial(sender.send, bytes(MAX_DATAGRAM_BYTES - HEADER_BYTES), receiver.address)
                senders.start_soon(_offer, send, _gap_s(mbit), _duration_s(mbit, effort))
        while network.conservation().in_flight:  # noqa: ASYNC110 - only counters say what still waits for the rate
            await trio.sleep(_POLL_S)
        nursery.cancel_scope.cancel()
    return {mbit: _rate_of(ns) for mbit, ns in arrivals_ns.items()}


async def _offer(send: functools.partial[None], gap_s: float, duration_s: float) -> None:
    """Send evenly, several at once where the gap is shorter than a timer's turn, or the host stood still."""
    began_s = trio.current_time()
    sent = 0
    while sent * gap_s < duration_s:
        elapsed_s = min(trio.current_time() - began_s, duration_s)
        while sent * gap_s <= elapsed_s:
            send()
            sent += 1
        await trio.sleep(max(gap_s, 0.002))
