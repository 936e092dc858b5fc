"""trio: one node over all its boots, in the process that its host lives in: a crash ends a boot, a restart begins the next.

What outlives a boot is what a machine keeps on its disk: the identity's keys and the store. The tracker and the bank know the node by
its keys, so its account and what it was paid stay; it joins again under the next epoch and offers what its store holds.

Source: DESIGN section 3 (restart with state).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import trio

from netem.host import Host
from node.peer import Peer


class Boots:
    """One node over all its boots.

    Args:
        host: where it lives; its crashes and restarts are followed, whoever makes them.
        make: makes the peer of a boot, from its epoch, 1 for the first.
        on_boot: called with the peer of every boot after the first.

    Attributes:
        peer: of the present boot, or of the last while the host is down.
    """

    def __init__(
        self, host: Host, make: Callable[[int], Peer], *, on_boot: Callable[[Peer], None] | None = None
    ) -> None:
        self._host = host
        self._make = make
        self._on_boot = on_boot
        self._started = False
        self.peer = make(1)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled; started once the first boot has joined, or crashed before that."""
        for epoch in itertools.count(2):
            await self._boot(task_status)
            await self._host.wait_up()
            self.peer = self._make(epoch)
            if self._on_boot is not None:
                self._on_boot(self.peer)

    async def _boot(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_with_host, self._host.boots, nursery.cancel_scope)
            await nursery.start(self.peer.run)
            self._report(task_status)
        self._report(task_status)

    async def _end_with_host(self, boots: int, boot: trio.CancelScope) -> None:
        await self._host.wait_down(boots)
        boot.cancel()

    def _report(self, task_status: trio.TaskStatus[None]) -> None:
        if not self._started:
            self._started = True
            task_status.started()
