"""trio: a testbed on real sockets around a block of code: for measuring nodes, and trying them, without a scenario and its run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from netem.events import Event
from netem.link import LinkConfig
from netem.network import IDEAL, Network
from netem.real_time import RealTime
from scenarios.parameters import Params
from scenarios.testbed import Bed

RUN_SEED = 1


@asynccontextmanager
async def real_bed(
    params: Params,
    directory: Path,
    *,
    link: LinkConfig = IDEAL,
    emit: Callable[[Event], None] = lambda _: None,
    drain_s: float = 0.0,
) -> AsyncIterator[Bed]:
    """Open a testbed without content that is not started yet; with the block all its services end, and then its network.

    Args:
        params: how many nodes of which kind it is to have.
        directory: an empty one, for stores and journal.
        link: what every link does.
        emit: takes the events.
        drain_s: how long the network goes on, so that what is under way arrives.
    """
    clock = RealTime()
    network = Network(clock, run_seed=RUN_SEED, default_link=link)
    async with trio.open_nursery() as ground:
        ground.start_soon(clock.run)
        async with trio.open_nursery() as wires:
            await wires.start(network.run)
            async with trio.open_nursery() as services:
                bed = Bed(
                    network,
                    params,
                    clock=clock,
                    run_seed=RUN_SEED,
                    content=[],
                    directory=directory,
                    emit=emit,
                    launch=services.start,
                )
                yield bed
                services.cancel_scope.cancel()
            bed.close()
            await trio.sleep(drain_s)
            wires.cancel_scope.cancel()
        ground.cancel_scope.cancel()
