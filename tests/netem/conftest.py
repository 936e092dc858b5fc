"""trio: run a program on a small network, under either clock; and links without any, packet by packet."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace

import pytest
import trio

from netem.accounts import Account, count_links
from netem.certificate import Certificate, Conservation
from netem.fates import Cause, FateLog, no_drops
from netem.link import Exposure, Link, LinkConfig
from netem.link_count import LinkCount
from netem.network import Network
from netem.randomness import BlockUniforms
from netem.real_time import RealTime
from netem.virtual_time import VirtualTime, schedule_deterministically

Program = Callable[[Network, trio.Nursery], Awaitable[None]]


def _run(program: Program, clock: VirtualTime | RealTime, **parameters) -> Network:
    async def main() -> Network:
        network = Network(clock, run_seed=1, **parameters)
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            nursery.start_soon(clock.run)
            await program(network, nursery)
            nursery.cancel_scope.cancel()
        return network

    return trio.run(main, clock=clock if clock.virtual else None)


@pytest.fixture
def run_virtual() -> Callable[..., Network]:
    """Run `program(network, nursery)` in virtual time and return the network."""
    schedule_deterministically(1)
    return lambda program, **parameters: _run(program, VirtualTime(), **parameters)


@pytest.fixture
def run_real() -> Callable[..., Network]:
    """Run `program(network, nursery)` over real sockets and return the network."""
    return lambda program, **parameters: _run(program, RealTime(), **parameters)


@pytest.fixture(params=["virtual", "real"])
def run_either(request: pytest.FixtureRequest) -> Callable[..., Network]:
    """Run `program(network, nursery)` once under each clock."""
    return request.getfixturevalue(f"run_{request.param}")


START_NS = 10**18
Arrival = tuple[int, int, int]  # when, number, own delay


class PureLinks:
    """Links and their receivers' log, without hosts, tasks or sockets."""

    def __init__(self, *, run_seed: int = 1) -> None:
        self.log = FateLog()
        self.routes: list[SimpleNamespace] = []
        self.told: list[LinkConfig] = []
        self._uniforms = BlockUniforms(run_seed)

    def carry(
        self,
        config: LinkConfig,
        packets: int,
        *,
        source: str = "a",
        told: LinkConfig | None = None,
        every_ns: int = 100_000,
        size_bytes: int = 1200,
        falsify: Callable[[list[Arrival]], Sequence[Arrival]] = lambda arrivals: arrivals,
    ) -> SimpleNamespace:
        """Send packets by a new link; `told` is the configuration that the certificate is told, if it is another one.

        `falsify` gets what arrives, in order, and returns what the receiver is to see.
        """
        link = Link(config, source=source, target="b", uniforms=self._uniforms, link_id=len(self.routes))
        known = told or config
        self.log.classify(link.link_id, known.impairments, law=known.delay_law, since=0)
        if known.rate_bytes_per_s != float("inf"):
            self.log.rated[link.link_id] = known.rated_bytes
        arrivals: list[Arrival] = []
        for number in range(packets):
            now_ns = START_NS + number * every_ns
            arrival_ns = link.verdict(now_ns, size_bytes)
            if arrival_ns > 0:
                arrivals.append((arrival_ns, number, link.delay_ns))
            if link.copy_at:
                arrivals.append((link.copy_at, number, link.copy_delay_ns))
        arrivals.sort(key=lambda arrival: arrival[0])
        for arrived_ns, number, delay_ns in falsify(arrivals):
            self.log.received(link.link_id, number, arrived_ns - delay_ns, arrived_ns)
            if known.rate_bytes_per_s != float("inf"):
                self.log.weigh(link.link_id, size_bytes)
        route = SimpleNamespace(
            source=SimpleNamespace(name=source),
            target=SimpleNamespace(name="b"),
            link=link,
            link_id=link.link_id,
            in_flight=0,
            held_back=0,
        )
        self.routes.append(route)
        self.told.append(known)
        return route

    def account(self, **changes: object) -> Account:
        """Return the account of what was carried; `changes` falsify its totals."""
        links = [
            count if told is route.link.config else _told(count, told)
            for count, told, route in zip(count_links(self.routes, self.log), self.told, self.routes, strict=True)
        ]
        dropped = no_drops()
        for count in links:
            dropped = [total + more for total, more in zip(dropped, count.dropped, strict=True)]
        delivered = sum(count.received for count in links)
        sent, copies = sum(count.offered for count in links), sum(count.copies for count in links)
        in_flight = sum(count.in_flight for count in links)
        # What was falsified is conserved all the same: it is to be found by its law.
        dropped[Cause.LOSS] = sent + copies - delivered - in_flight - (sum(dropped) - dropped[Cause.LOSS])
        totals = {
            "sent": sent,
            "copies": copies,
            "delivered": delivered,
            "dropped": tuple(dropped),
            "in_flight": in_flight,
        }
        return Account(Conservation(**(totals | changes)), links, delays=dict(self.log.delays()))

    def certificate(self, **changes: object) -> Certificate:
        """Judge what was carried."""
        return self.account(**changes).certificate()


def _told(count: LinkCount, told: LinkConfig) -> LinkCount:
    return dataclasses.replace(count, exposures=(Exposure(told, count.packets),) if count.packets else ())


@pytest.fixture
def pure_links() -> type[PureLinks]:
    """Return the class of links that carry packets at once."""
    return PureLinks
