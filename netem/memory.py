"""trio: the wires of virtual time: datagrams and streams handed over in memory."""

from __future__ import annotations

import errno
import math
import os
from collections import Counter
from collections.abc import Callable, Container

import trio

from netem.clock import TrueClock
from netem.errors import ConfigError
from netem.fates import Cause, FateLog
from netem.host import Endpoint
from netem.memory_stream import MemoryStream, stream_pair
from netem.route import HEADER_BYTES, Address, Path

_FIRST_PORT = 40_000
_LAST_PORT = 65_535


class MemoryWire:
    """Datagrams in memory (a `Wire`): one timer each, and no real socket.

    Its header is never packed: link, number and send time are passed on as they are.
    """

    def __init__(self, clock: TrueClock, fates: FateLog) -> None:
        self.endpoints: dict[Address, Endpoint] = {}
        self.post = clock.caller(self._hand_over)
        self._received: Callable[[int, int, int, int], None] = fates.received
        self._rated, self._weigh = fates.rated, fates.weigh

    def open(self, endpoint: Endpoint, *, port: int) -> None:
        """Bind an endpoint (see `Wire.open`)."""
        endpoint.address = free_address(endpoint.host.ip, port, self.endpoints)
        self.endpoints[endpoint.address] = endpoint

    def close(self, endpoint: Endpoint) -> None:
        """Unbind an endpoint."""
        del self.endpoints[endpoint.address]

    def release(self, endpoint: Endpoint) -> None:
        """Do nothing: memory keeps nothing for packets in flight."""

    def _hand_over(self, path: Path, data: bytes, number: int, sent_ns: int, due_ns: int) -> None:  # noqa: PLR0917 - per packet, keywords cost
        route = path.route
        if route.held is not None:
            route.held.append((path, data, number, sent_ns, due_ns))
            return
        sender = path.sender
        route.in_flight -= 1
        sender.in_flight -= 1
        receiver = path.receiver
        if receiver is None or not receiver.open:
            receiver = path.receiver = self.endpoints.get(path.target)
        if receiver is None:
            route.link.dropped[Cause.DESTINATION_DOWN] += 1
        else:
            route.carried += 1
            self._received(route.link_id, number, sent_ns, due_ns)
            if self._rated and route.link_id in self._rated:
                self._weigh(route.link_id, len(data) + HEADER_BYTES)
            receiver.on_datagram(data, sender.address)

    def kernel_drops(self) -> int:
        """Return 0: memory drops nothing."""
        return 0


class MemoryListener:
    """Incoming streams in memory (a `Listener`)."""

    def __init__(self, address: Address, *, on_close: Callable[[], None]) -> None:
        self.address = address
        self._on_close = on_close
        self._arrivals, self._backlog = trio.open_memory_channel[tuple[MemoryStream, Address]](math.inf)

    def arrive(self, stream: MemoryStream, client: Address) -> None:
        """Add a stream that `client` has opened."""
        self._arrivals.send_nowait((stream, client))

    async def accept(self) -> list[tuple[MemoryStream, Address]]:
        """Wait for the next stream (see `Listener.accept`)."""
        return [await self._backlog.receive()]

    def close(self) -> None:
        """Refuse further streams. Idempotent."""
        self._backlog.close()
        self._on_close()


class MemoryStreams:
    """Streams in memory (a `StreamWire`)."""

    def __init__(self) -> None:
        self._listeners: dict[Address, MemoryListener] = {}
        self._connected: Counter[str] = Counter()  # streams opened so far, by client

    async def listen(self, ip: str, port: int) -> MemoryListener:
        """Open a listener (see `StreamWire.listen`)."""
        await trio.lowlevel.checkpoint()
        address = free_address(ip, port, self._listeners)
        listener = self._listeners[address] = MemoryListener(address, on_close=lambda: self._closed(address))
        return listener

    def _closed(self, address: Address) -> None:
        self._listeners.pop(address, None)

    async def connect(self, ip: str, address: Address, announce: Callable[[Address], None]) -> MemoryStream:
        """Connect (see `StreamWire.connect`)."""
        await trio.lowlevel.checkpoint()
        listener = self._listeners.get(address)
        if listener is None:
            raise refused()
        client = (ip, _FIRST_PORT + self._connected[ip] % (_LAST_PORT + 1 - _FIRST_PORT))
        self._connected[ip] += 1
        announce(client)
        ours, theirs = stream_pair()
        listener.arrive(theirs, client)
        return ours

    def sever(self, transport: object) -> None:
        """Do nothing: streams in memory have both ends here, and both are reset."""


def free_address(ip: str, port: int, taken: Container[Address]) -> Address:
    """Return (ip, port); for port 0 the lowest free port.

    Raises:
        ConfigError: the port is taken.
    """
    ports = [port] if port else range(_FIRST_PORT, _LAST_PORT + 1)
    for candidate in ports:
        if (ip, candidate) not in taken:
            return ip, candidate
    raise port_taken(ip, port, os.strerror(errno.EADDRINUSE))


def port_taken(ip: str, port: int, why: str | None) -> ConfigError:
    """Return the error for a port that cannot be bound, for the system's reason: the ip may be no address of this machine."""
    return ConfigError("port", port, f"a port that is free on {ip} ({why})")


def refused() -> ConnectionRefusedError:
    """Return the error of connecting to where nobody listens."""
    return ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
