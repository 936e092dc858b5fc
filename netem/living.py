"""trio: whether a host is up and awake, and what waits while it is not.

Source: DESIGN section 3 (crash, restart with state, pause).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from netem.host_clock import HostClock

if TYPE_CHECKING:
    from netem.host import Endpoint
    from netem.route import Address


class Living:
    """A host as far as it crashes, restarts, pauses and resumes.

    Attributes:
        up: False between a crash and a restart.
        boots: how often the host has crashed.
        clock: what programs on this host read and set timers by; it may be wrong, and its timers freeze during a pause.
        endpoints: the open ones, in order of opening.
        on_crash: called by a crash; who runs a program on this host ends it then.
    """

    def __init__(self, clock: HostClock) -> None:
        self.up = True
        self.boots = 0
        self.clock = clock
        self.endpoints: list[Endpoint] = []
        self.on_crash: Callable[[], None] | None = None
        self._changed = trio.lowlevel.ParkingLot()  # where tasks wait for it to go up, down or on
        self._pauses = 0
        self._inbox: list[tuple[Endpoint, bytes, Address]] = []  # what came, and what tasks sent, during a pause
        self._outbox: list[tuple[Endpoint, bytes, Address]] = []

    @property
    def paused(self) -> bool:
        """Say whether the host's process stands still."""
        return self._pauses > 0

    def go_down(self) -> None:
        """Crash: close all sockets; what a paused process had not read or sent is gone with it."""
        self.up = False
        self.boots += 1
        self._inbox.clear()
        self._outbox.clear()
        for endpoint in list(self.endpoints):
            endpoint.close()
        if self.on_crash is not None:
            self.on_crash()
        self._changed.unpark_all()

    def go_up(self) -> None:
        """Let sockets be opened again."""
        self.up = True
        self._changed.unpark_all()

    async def wait_up(self) -> None:
        """Wait until the host is up; return at once when it is."""
        while not self.up:
            await self._changed.park()

    def pause(self) -> None:
        """Stand still, once more: timers freeze, what arrives waits unread, what tasks send waits unsent, streams wait."""
        self._pauses += 1
        if self._pauses == 1:
            self.clock.freeze()
            for endpoint in self.endpoints:
                endpoint.pause()

    def resume(self) -> None:
        """Undo one pause; after the last, what waited happens: first what was to be sent, then what came, then timers."""
        self._pauses -= 1
        if self._pauses:
            return
        inbox, outbox, self._inbox, self._outbox = self._inbox, self._outbox, [], []
        for endpoint in self.endpoints:
            endpoint.resume()
        for endpoint, data, target in outbox:
            endpoint.send(data, target)
        for endpoint, data, source in inbox:
            if endpoint.open:
                endpoint.on_datagram(data, source)
        self.clock.thaw()
        self._changed.unpark_all()

    async def wait_awake(self) -> None:
        """Wait until the host is not paused, or crashes; return at once when it is not."""
        boots = self.boots
        while self._pauses and self.boots == boots:
            await self._changed.park()

    def keep_unread(self, endpoint: Endpoint, data: bytes, source: Address) -> None:
        """Take what came for a paused process."""
        self._inbox.append((endpoint, data, source))

    def keep_unsent(self, endpoint: Endpoint, data: bytes, target: Address) -> None:
        """Take what a task of a paused process sent."""
        self._outbox.append((endpoint, data, target))
