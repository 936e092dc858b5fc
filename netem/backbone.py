"""trio: what a host asks of the network it is part of, and what it calls when something comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import trio

from netem.clock import TrueClock
from netem.fates import FateLog
from netem.route import Address, Route, Wire

if TYPE_CHECKING:
    from netem.host import Endpoint, Host

OnDatagram = Callable[[bytes, Address], None]
StreamHandler = Callable[[trio.abc.Stream], Awaitable[None]]


class Backbone(Protocol):
    """What a host asks of the network it is part of."""

    wire: Wire
    fates: FateLog
    owners: dict[Address, Host]  # of every UDP address ever opened
    foreign: int
    clock: TrueClock

    def owner_elsewhere(self, address: Address) -> Host | None:
        """Return the host of another process that has an address."""
        ...

    def make_route(self, source: Host, target: Host) -> Route:
        """Make the route of a pair of hosts that has none yet."""
        ...

    def make_endpoint(self, host: Host, on_datagram: OnDatagram, *, port: int) -> Endpoint:
        """See `Host.open_udp`."""
        ...

    async def listen(self, host: Host, handler: StreamHandler, *, nursery: trio.Nursery, port: int) -> Address:
        """See `Host.listen_tcp`."""
        ...

    async def connect(self, host: Host, address: Address) -> trio.abc.Stream:
        """See `Host.connect_tcp`."""
        ...
