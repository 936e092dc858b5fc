"""trio: an emulated path in front of a program that knows nothing of it: a relay for UDP and TCP on one port.

Programs on both sides keep their own sockets; what a client sends travels from `client` to `server`, two hosts of an emulated
network in this process, and leaves for the program behind from a socket of its own. All flows share the path, its rate included.

- A datagram of any size is judged as a whole by the link, as one packet; each client address has an upstream socket.
- A connection is made through the path, then shaped in both directions as `netem.streams` says: loss is time there.

Source: DESIGN section 6 (proxy for unmodified programs).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio

from netem.errors import ConfigError
from netem.fates import Cause
from netem.host import Host
from netem.impairments.corrupt import flip_bit
from netem.link import Link, LinkConfig
from netem.memory import MemoryStreams, MemoryWire
from netem.network import Network
from netem.parts import Parts
from netem.real_time import RealTime
from netem.route import Address

CLIENT, SERVER = "client", "server"
MOST_FLOWS = 1_024  # of datagrams; the one that was quiet longest makes way
_READ_BYTES = 65_536
_IN_MEMORY = Parts(real_wire=MemoryWire, real_streams=MemoryStreams)


class Proxy:
    """A relay from an address to a program's.

    Args:
        listen: where clients come; port 0 picks one.
        to: where the program is.
        forth: what the path does to what clients send.
        back: what it does to the answers.
        run_seed: keys all randomness.

    Attributes:
        connections: TCP connections so far.
        refused: those that the program did not accept.
    """

    def __init__(self, listen: Address, to: Address, *, forth: LinkConfig, back: LinkConfig, run_seed: int) -> None:
        self.connections = 0
        self.refused = 0
        self._listen = listen
        self._to = to
        self._clock = RealTime()
        self._network = Network(self._clock, run_seed=run_seed, default_link=forth, parts=_IN_MEMORY)
        hosts = self._network.add_host(CLIENT), self._network.add_host(SERVER)
        self._network.impair(SERVER, CLIENT, back)
        self.forth, self.back = self._link(*hosts), self._link(*reversed(hosts))
        self._flows: dict[Address, _Flow] = {}

    def _link(self, source: Host, target: Host) -> Link:
        return self._network.make_route(source, target).link

    async def run(self, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
        """Relay until cancelled; report the address that clients use.

        Raises:
            ConfigError: it cannot be listened on.
        """
        listener, datagrams = await self._bind()
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(self._clock.run)
            await nursery.start(self._network.run)
            inside = await self._network.hosts[SERVER].listen_tcp(self._connect_behind, nursery=nursery)
            nursery.start_soon(trio.serve_listeners, partial(self._accept, inside), [listener])
            nursery.start_soon(self._relay_datagrams, datagrams, nursery)
            task_status.started(datagrams.getsockname()[:2])

    async def _bind(self) -> tuple[trio.SocketListener, socket.socket]:
        host, port = self._listen
        try:
            (listener,) = await trio.open_tcp_listeners(port, host=host)
            return listener, _bound(listener.socket.getsockname())
        except OSError as fault:
            raise ConfigError("--listen", f"{host}:{port}", f"an address that is free ({fault.strerror})") from None

    async def _relay_datagrams(self, clients: socket.socket, nursery: trio.Nursery) -> None:
        with clients:
            while True:
                data, client = await _receive(clients)
                flow = self._flows.pop(client, None) or self._begin(client, clients, nursery)
                self._flows[client] = flow  # the last is the one that spoke last
                self._judge(self.forth, data, flow.send)

    def _begin(self, client: Address, clients: socket.socket, nursery: trio.Nursery) -> _Flow:
        while len(self._flows) >= MOST_FLOWS:
            self._flows.pop(next(iter(self._flows))).scope.cancel()
        flow = _Flow(self._to)

        def answer(data: bytes) -> None:
            _send(clients, data, client)

        nursery.start_soon(flow.run, lambda data: self._judge(self.back, data, answer))
        return flow

    def _judge(self, link: Link, data: bytes, forward: Callable[[bytes], None]) -> None:
        """Let a datagram, and its copy if it has one, go on when the link says so, damaged where it says so."""
        arrival_ns = link.verdict(self._clock.now_ns(), len(data))
        for due_ns, damage in ((arrival_ns, link.damage), (link.copy_at, link.copy_damage)):
            if due_ns > 0:
                self._clock.call_at(due_ns, forward, flip_bit(data, damage))

    async def _accept(self, inside: Address, client: trio.SocketStream) -> None:
        """Take a client's connection through the path."""
        self.connections += 1
        with suppress(ConnectionRefusedError, TimeoutError):
            stream = await self._network.hosts[CLIENT].connect_tcp(inside)
            assert isinstance(stream, trio.abc.HalfCloseableStream)
            await _join(client, stream)

    async def _connect_behind(self, stream: trio.abc.Stream) -> None:
        """Go on to the program with a connection that came through the path."""
        assert isinstance(stream, trio.abc.HalfCloseableStream)
        try:
            behind = await trio.open_tcp_stream(*self._to)
        except OSError:
            self.refused += 1
            return
        await _join(behind, stream)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return for each direction the datagrams offered, copied, and dropped by cause."""
        directions = {f"{CLIENT} > {SERVER}": self.forth, f"{SERVER} > {CLIENT}": self.back}
        return {
            name: {"datagrams": link.offered, "copies": link.duplicated}
            | {cause.name.lower(): link.dropped[cause] for cause in Cause if link.dropped[cause]}
            for name, link in directions.items()
        }


class _Flow:
    """The datagrams of one client address, and its upstream socket."""

    def __init__(self, to: Address) -> None:
        self.scope = trio.CancelScope()
        self._to = to
        self._socket = _bound(("", 0))

    async def run(self, answered: Callable[[bytes], None]) -> None:
        """Hand over answers until cancelled."""
        with self.scope, self._socket:
            while True:
                data, _ = await _receive(self._socket)
                answered(data)

    def send(self, data: bytes) -> None:
        """Send to the program; what a flow that made way had still under way is gone."""
        _send(self._socket, data, self._to)


def _bound(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


async def _receive(sock: socket.socket) -> tuple[bytes, Address]:
    """Wait for a datagram, and return it with its sender."""
    while True:
        await trio.lowlevel.wait_readable(sock)
        with suppress(BlockingIOError, ConnectionError):  # nobody was where the last one went
            return sock.recvfrom(_READ_BYTES)


def _send(sock: socket.socket, data: bytes, target: Address) -> None:
    """Send a datagram; a full buffer, a closed socket or an unreachable target loses it, as a network does."""
    with suppress(OSError):
        sock.sendto(data, target)


async def _join(outside: trio.abc.HalfCloseableStream, inside: trio.abc.HalfCloseableStream) -> None:
    """Carry bytes both ways until both directions have ended; a reset of one resets the other."""
    async with outside, inside, trio.open_nursery() as nursery:
        nursery.start_soon(_pump, outside, inside, nursery.cancel_scope)
        nursery.start_soon(_pump, inside, outside, nursery.cancel_scope)


async def _pump(
    source: trio.abc.HalfCloseableStream, sink: trio.abc.HalfCloseableStream, both: trio.CancelScope
) -> None:
    try:
        while data := await source.receive_some(_READ_BYTES):
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        both.cancel()
