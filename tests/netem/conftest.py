"""trio: run a program on a small network, under either clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from netem.network import Network
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
