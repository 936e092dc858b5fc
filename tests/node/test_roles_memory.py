"""Attacks that last make nothing grow: what our own code has allocated is the same after ninety seconds as after sixty."""

import functools
import gc
import math
import sys
import tracemalloc

import pytest
import trio

from node.roles.byzantine import byzantine_role
from tracker import identity
from tracker.desk import Terms

pytestmark = pytest.mark.slow

HEAVY = ("equivocate_receipts", "flood_requests", "forge_odds", "huge_frame", "replay_receipts", "slow_loris")
PHASE_S = 30.0
HOLD_S = 20.0  # so that orders of one phase are forgotten by the end of the next
MOST_GROWTH_BYTES = (
    128 * 1024
)  # dictionaries double now and then; a leaked connection has 10 KiB, and 25 a second are made


# What the attackers keep, the network's log of packets, the fates that a link has decided ahead (up to a block, of which more or
# less is used up at any moment), and the packets that are on their way.
NOT_KEPT = (
    "*/tests/*",
    "*/node/roles/*",
    "*/netem/fates.py",
    "*/netem/link.py",
    "*/netem/host.py",
    "*/netem/route.py",
)


def forget_what_is_bounded():
    """Empty the process's memories of fixed size (signatures, secrets, frames): how full they are says nothing of an attack."""
    gc.collect()  # when the next collection is due depends on what other tests allocated
    identity._agreed.clear()
    identity._verified.clear()
    ours = [
        module for name, module in sorted(sys.modules.items()) if name.split(".")[0] in ("netem", "tracker", "node")
    ]
    for thing in (thing for module in ours for thing in vars(module).values()):
        if isinstance(thing, functools._lru_cache_wrapper) and thing.cache_parameters()["maxsize"]:
            thing.cache_clear()


def allocated_bytes():
    forget_what_is_bounded()
    kept = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(True, f"*/{package}/*") for package in ("netem", "tracker", "node")]
        + [tracemalloc.Filter(False, pattern) for pattern in NOT_KEPT]
    )
    return {stat.traceback[0].filename: stat.size for stat in kept.statistics("filename")}


def growth_bytes(play, roles, *, phase_s=PHASE_S):
    """Play the roles for three phases; return by how much each file's allocations grew in the last."""
    sizes = []

    async def program(world):
        seeder = await world.join("seeder", upload=250_000)
        path = world.file("film", 600_000)
        index = await seeder.publish("film", path)
        fetcher = await world.join("fetcher")
        async with trio.open_nursery() as nursery:
            for name in roles:
                role = await world.join(name, kind=byzantine_role(name))
                if role.serves:
                    await role.publish("film", path)
                nursery.start_soon(role.act)

            async def fetch():
                while True:
                    await fetcher.fetch(index)
                    await fetcher.drop(index)

            nursery.start_soon(fetch)
            for _ in range(3):
                await trio.sleep(phase_s)
                sizes.append(allocated_bytes())
            nursery.cancel_scope.cancel()

    tracemalloc.start()
    try:
        play(program, terms=Terms(hold_s=HOLD_S))
    finally:
        tracemalloc.stop()
    return {name: sizes[2].get(name, 0) - sizes[1].get(name, 0) for name in sizes[2]}


def test_memory_stays_flat_under_lasting_attacks(play):
    growth = growth_bytes(play, HEAVY)
    assert sum(growth.values()) < MOST_GROWTH_BYTES, sorted(growth.items(), key=lambda pair: -pair[1])[:8]


def test_memory_would_grow_if_strangers_might_stay(play, monkeypatch):
    monkeypatch.setattr("tracker.doors.JOIN_S", math.inf)
    monkeypatch.setattr("tracker.doors.FRAME_S", math.inf)
    assert sum(growth_bytes(play, ["slow_loris"], phase_s=12.0).values()) > MOST_GROWTH_BYTES
