"""A node over its boots: what a crash ends and a restart begins, with stand-ins for peers, in virtual time."""

from __future__ import annotations

import pytest
import trio

from netem.network import Network
from netem.virtual_time import VirtualTime, schedule_deterministically
from scenarios.rebooting import Boots

JOIN_S = 1.0


class StandIn:
    """A peer that takes a second to join, and half a second to end."""

    def __init__(self, epoch, story):
        self.epoch = epoch
        self.story = story

    async def run(self, *, task_status):
        try:
            await trio.sleep(JOIN_S)
            self.story.append((trio.current_time(), self.epoch, "joined"))
            task_status.started()
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.5)
            self.story.append((trio.current_time(), self.epoch, "ended"))


def live_through(crash_s, *, down_s):
    """Crash a node after `crash_s`, for `down_s`; return what happened, when `start` returned, and the boots told of."""
    story, started_s, boots = [], [], []

    async def main():
        clock = trio.lowlevel.current_clock()
        network = Network(clock, run_seed=1)
        node = Boots(network.add_host("a"), lambda epoch: StandIn(epoch, story), on_boot=boots.append)

        async def fail():
            await trio.sleep(crash_s)
            with network.crash("a"):
                if down_s:
                    await trio.sleep(down_s)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(clock.run)
            nursery.start_soon(fail)
            await nursery.start(node.run)
            started_s.append(trio.current_time())
            await trio.sleep(10)
            assert node.peer.epoch == 2
            nursery.cancel_scope.cancel()

    schedule_deterministically(1)
    trio.run(main, clock=VirtualTime())
    return story[:3], started_s[0], [peer.epoch for peer in boots]


def test_a_crash_ends_a_boot_and_a_restart_begins_the_next():
    story, started_s, boots = live_through(3, down_s=4)
    assert story == [(1, 1, "joined"), (3.5, 1, "ended"), (8, 2, "joined")]
    assert (started_s, boots) == (1, [2])


@pytest.mark.parametrize("down_s", [0, 0.25])
def test_the_next_boot_begins_when_the_last_has_ended_however_soon_the_restart_comes(down_s):
    story, _, _ = live_through(3, down_s=down_s)
    assert story == [(1, 1, "joined"), (3.5, 1, "ended"), (4.5, 2, "joined")]


def test_a_boot_that_crashes_while_it_joins_keeps_nobody_waiting():
    story, started_s, boots = live_through(0.5, down_s=2)
    assert story[:2] == [(1, 1, "ended"), (3.5, 2, "joined")]
    assert (started_s, boots) == (1, [2])
