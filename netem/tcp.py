"""trio: TCP between hosts: listening, connecting, crashing, over real sockets or memory.

A connection takes one round trip of the lanes: the client's first segment, which is sent again when lost, and the server's
one-byte answer, the first of its `ShapedStream`. So each direction is shaped by its own sender, wherever that is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import trio

from netem.backbone import StreamHandler
from netem.host import Host
from netem.lane import Lane
from netem.memory import refused
from netem.route import Address
from netem.streams import ShapedStream
from netem.transport import Transport

Announce = Callable[[Address], None]
_ANSWER = b"\x06"


class Listener(Protocol):
    """Where streams come in."""

    address: Address

    async def accept(self) -> Sequence[tuple[Transport, Address]]:
        """Wait for streams, and return those that are there with their clients' addresses. Raises trio.ClosedResourceError once closed."""
        ...

    def close(self) -> None:
        """Refuse further streams. Idempotent."""
        ...


class StreamWire(Protocol):
    """What carries streams: memory under virtual time, real sockets under real time."""

    async def listen(self, ip: str, port: int) -> Listener:
        """Listen; port 0 picks one. Raises ConfigError when the port is taken."""
        ...

    async def connect(self, ip: str, address: Address, announce: Announce) -> Transport:
        """Connect from `ip`; announce the client's address before the server can see it. Raises OSError."""
        ...

    def sever(self, transport: Transport) -> None:
        """Let the peer see a reset, not an end, when a transport closes."""
        ...


class _Ends(NamedTuple):
    """The two hosts of a stream, and the port of its listener."""

    here: Host
    there: Host
    port: int


class Switchboard:
    """All TCP of a network.

    Args:
        wire: what carries the streams.
        lane: returns the lane of an ordered pair of hosts.
        elsewhere: returns the host of another process that has an address.

    Invariant: every stream in `_streams` is closed when `run` ends.
    """

    def __init__(
        self,
        wire: StreamWire,
        *,
        lane: Callable[[Host, Host], Lane],
        elsewhere: Callable[[Address], Host | None],
    ) -> None:
        self._wire = wire
        self._lane = lane
        self._elsewhere = elsewhere
        self._listeners: dict[Address, tuple[Host, Listener]] = {}
        self._clients: dict[Address, Host] = {}
        self._streams: dict[ShapedStream, _Ends] = {}
        self._vanished: list[ShapedStream] = []  # half open: their transports stay to the end
        self._to_runner, self._started = trio.open_memory_channel[ShapedStream](math.inf)

    async def run(self) -> None:
        """Run the writers of streams that need one until cancelled; then close what is left."""
        try:
            async with trio.open_nursery() as nursery:
                async for stream in self._started:
                    nursery.start_soon(stream.run)
        finally:
            for stream in (*self._streams, *self._vanished):
                stream.abandon()

    async def listen(self, host: Host, handler: StreamHandler, *, nursery: trio.Nursery, port: int) -> Address:
        """Listen (see `Host.listen_tcp`)."""
        listener = await self._wire.listen(host.ip, port)
        self._listeners[listener.address] = (host, listener)
        nursery.start_soon(self._accept, host, listener, handler, nursery)
        return listener.address

    async def _accept(self, host: Host, listener: Listener, handler: StreamHandler, nursery: trio.Nursery) -> None:
        try:
            while True:
                for transport, address in await listener.accept():
                    client = self._clients.pop(address, None) or self._elsewhere(address)
                    if client is None or not client.up:
                        transport.close()  # a stranger, or the client crashed meanwhile
                    else:
                        nursery.start_soon(
                            _serve, handler, self._shape(transport, _Ends(host, client, listener.address[1]))
                        )
        except trio.ClosedResourceError:
            return  # the host crashed
        finally:
            listener.close()
            self._listeners.pop(listener.address, None)

    async def connect(self, host: Host, address: Address) -> ShapedStream:
        """Connect (see `Host.connect_tcp`)."""
        server = self._listeners[address][0] if address in self._listeners else self._elsewhere(address)
        if server is None:
            raise refused()
        lane = self._lane(host, server)
        await lane.arrive(await lane.depart(0))
        transport = await self._open(host, address)
        if not host.up:
            transport.close()
            raise refused()  # the host crashed meanwhile
        stream = self._shape(transport, _Ends(host, server, address[1]))
        try:
            answer = await stream.receive_some(1)
        except trio.BrokenResourceError:
            answer = b""
        except trio.Cancelled:
            stream.reset()
            raise
        if not answer:  # the server has no room, or crashed meanwhile
            stream.reset()
            raise refused()
        return stream

    async def _open(self, host: Host, address: Address) -> Transport:
        announced: list[Address] = []

        def announce(client: Address) -> None:
            announced.append(client)
            self._clients[client] = host

        try:
            return await self._wire.connect(host.ip, address, announce)
        except BaseException:
            for client in announced:  # the address may be another's next
                self._clients.pop(client, None)
            raise

    def _shape(self, transport: Transport, ends: _Ends) -> ShapedStream:
        lane = self._lane(ends.here, ends.there)
        stream = ShapedStream(transport, lane, launch=self._to_runner.send_nowait, on_end=self._ended)
        self._streams[stream] = ends
        return stream

    def _ended(self, stream: ShapedStream) -> None:
        if self._streams.pop(stream, None) and stream.broken:
            self._wire.sever(stream.transport)

    def crash(self, host: Host) -> None:
        """Close the host's listeners and reset every stream with an end on it."""
        for owner, listener in list(self._listeners.values()):
            if owner is host:
                listener.close()
        for stream, ends in list(self._streams.items()):
            if host in {ends.here, ends.there}:
                stream.reset()

    def reset(self, one: Host, other: Host, *, port: int) -> int:
        """Reset the streams between two hosts to a listener's port, 0 for all; return how many ends of them were here."""
        streams = self._between(one, other, port=port)
        for stream in streams:
            stream.reset()
        return len(streams)

    def vanish(self, gone: Host, left: Host, *, port: int) -> int:
        """Leave streams half open (see `ShapedStream.vanish`): `gone` loses them, `left` hears nothing any more."""
        streams = self._between(gone, left, port=port)
        for stream in streams:
            if self._streams[stream].here is gone:
                del self._streams[stream]
                self._vanished.append(stream)
                stream.vanish()
            else:
                stream.speak_to_nobody()
        return len(streams)

    def _between(self, one: Host, other: Host, *, port: int) -> list[ShapedStream]:
        return [
            stream
            for stream, ends in self._streams.items()
            if {ends.here, ends.there} == {one, other} and port in {0, ends.port}
        ]


async def _serve(handler: StreamHandler, stream: ShapedStream) -> None:
    async with stream:
        try:
            await stream.send_all(_ANSWER)
            await handler(stream)
        except* trio.BrokenResourceError:
            if not stream.broken:
                raise  # another stream's reset is the handler's own affair
