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
        self.peer = make(1)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled; started once the first boot has joined, or crashed before that."""
        joined = _Joined(task_status)
        for epoch in itertools.count(2):
            with trio.CancelScope() as boot:
                self._host.on_crash = boot.cancel
                await self.peer.run(task_status=joined)
            joined.started()
            await self._host.wait_up()
            self.peer = self._make(epoch)
            if self._on_boot is not None:
                self._on_boot(self.peer)


class _Joined:
    """The task status of all boots: the first to report counts."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self._status = status
        self._reported = False

    def started(self, value: None = None) -> None:  # noqa: ARG002 - trio's signature
        """Report, unless that was done."""
        if not self._reported:
            self._reported = True
            self._status.started()
