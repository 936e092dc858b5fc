"""trio: the real wire: one receive hub over all UDP sockets of the process.

Every socket is in one selector that trio waits on; it is also looked at after every burst of departures. A look reads some 64
datagrams per socket. `netem.departures` sends, each packet from its sender's own socket.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys

import trio

from netem.arrivals import Reader, unread
from netem.clock import Clock
from netem.departures import Departures
from netem.fates import FOLD_PACKETS, FateLog
from netem.host import Endpoint
from netem.memory import port_taken
from netem.route import Address

LONGEST_LOOK_NS = 2_000_000
_RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
_SO_MEMINFO = 55  # Linux: nine u32 about the memory of a socket; the last counts its drops


class Hub:
    """Delivery over real sockets (a `Wire`).

    Attributes:
        keep_bound: keep the sockets of closed endpoints bound to the end, and count what other processes still send there: a
            closed port would swallow it without a trace.

    Invariant: a frame handed to the kernel is read once, or dropped by the kernel and counted by its socket.
    """

    def __init__(self, clock: Clock, fates: FateLog, *, departures: type[Departures] = Departures) -> None:
        self.endpoints: dict[Address, Endpoint] = {}
        self._sockets: dict[Address, socket.socket] = {}
        self._lingerers: dict[Address, int] = {}  # closed endpoints with packets in flight, by address
        self._selector = selectors.DefaultSelector()
        self._looks = 0
        self._unlooked: list[Reader] = []  # sockets that were ready when the last look ran out of time
        self._elapsed_ns = clock.elapsed_ns
        self._fates = fates
        fates.base_ns = clock.base_ns
        self._drops_of_closed = 0
        self.keep_bound = False
        self._departures = departures(
            clock, sockets=self._sockets, endpoints=self.endpoints, late=fates.late, departed=self._look
        )
        self.post = self._departures.post

    def open(self, endpoint: Endpoint, *, port: int) -> None:
        """Bind a real socket (see `Wire.open`), or take over the one that lingers at this address.

        Raises:
            ConfigError: the port is taken.
        """
        address = (endpoint.host.ip, port)
        lingers = address in self._sockets and address not in self.endpoints
        sock = self._sockets[address] if lingers else bind_udp(address)
        endpoint.address = sock.getsockname()
        self._sockets[endpoint.address] = sock
        self.endpoints[endpoint.address] = endpoint
        reader = Reader(endpoint, sock)
        try:
            self._selector.register(sock, selectors.EVENT_READ, reader)
        except KeyError:  # it is still bound, and read for nobody
            self._selector.modify(sock, selectors.EVENT_READ, reader)

    def close(self, endpoint: Endpoint) -> None:
        """Unbind a socket; it lingers while packets from it are in flight, which must leave from its address."""
        address = endpoint.address
        del self.endpoints[address]
        sock = self._sockets[address]
        nobody = _Nobody(endpoint)
        for frame, source in unread(sock):
            nobody.receive(frame, source)
        if self.keep_bound:
            self._selector.modify(sock, selectors.EVENT_READ, Reader(nobody, sock))
        else:
            self._selector.unregister(sock)
        if endpoint.in_flight:
            self._lingerers[address] = self._lingerers.get(address, 0) + 1
        self._free_if_idle(address)

    def release(self, endpoint: Endpoint) -> None:
        """Free a lingering socket."""
        self._lingerers[endpoint.address] -= 1
        self._free_if_idle(endpoint.address)

    def _free_if_idle(self, address: Address) -> None:
        if address not in self.endpoints and not self._lingerers.get(address) and not self.keep_bound:
            self._lingerers.pop(address, None)
            sock = self._sockets.pop(address, None)
            if sock is not None:  # else `run` has ended and freed it
                self._free(sock)

    def _free(self, sock: socket.socket) -> None:
        self._drops_of_closed += socket_drops(sock) or 0
        sock.close()

    async def run(self) -> None:
        """Read sockets until cancelled; then count what is still unread as received, and close everything."""
        descriptor = self._selector.fileno()
        try:
            while True:
                await trio.lowlevel.wait_readable(descriptor)
                self._look()
        finally:
            self._stop()

    def _look(self) -> None:
        """Read the sockets in which something waits; none does once `run` has ended, while the clock may still run."""
        if not self._sockets:
            return
        fates = self._fates
        self._looks += 1
        elapsed_ns = self._elapsed_ns
        until_ns = elapsed_ns() + LONGEST_LOOK_NS
        ready = self._unlooked or [key.data for key, _ in self._selector.select(0)]
        for number, reader in enumerate(ready, start=1):
            reader.read(fates, elapsed_ns=elapsed_ns, look=self._looks)
            if elapsed_ns() > until_ns:  # a crowd of sockets must not hold up timers and tasks; the rest comes next
                self._unlooked = ready[number:]
                break
        else:
            self._unlooked = []
        if len(fates.links) >= FOLD_PACKETS:
            fates.fold()

    def _stop(self) -> None:
        for endpoint in list(self.endpoints.values()):
            for frame, source in unread(self._sockets[endpoint.address]):
                endpoint.record(frame, source)
            endpoint.close()
        for key in list(self._selector.get_map().values()):
            for frame, source in unread(key.data.sock):
                key.data.endpoint.receive(frame, source)
        for sock in self._sockets.values():
            self._free(sock)
        self._sockets.clear()
        self._selector.close()

    def kernel_drops(self) -> int | None:
        """Return how many datagrams the kernel dropped at our sockets so far; None where it does not say."""
        if sys.platform != "linux":
            return None
        return self._drops_of_closed + sum(socket_drops(sock) or 0 for sock in self._sockets.values())


class _Nobody:
    """What reads a closed endpoint's socket: it counts what comes."""

    open = True

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.sources: dict[Address, int] = {}  # so that every frame comes to `receive`
        self.on_datagram = endpoint.on_datagram

    def receive(self, frame: bytes, source: Address) -> None:
        """Count a frame as DESTINATION_DOWN."""
        self._endpoint.lose(frame, source)

    lose = receive


def bind_udp(address: Address) -> socket.socket:
    """Open a non-blocking UDP socket with a large receive buffer.

    Raises:
        ConfigError: the port is taken.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise port_taken(*address, error.strerror) from error
    return sock


def socket_drops(sock: socket.socket) -> int | None:
    """Return how many datagrams the kernel dropped at a socket; None where it does not say."""
    if sys.platform != "linux":
        return None
    memory = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
    return int(struct.unpack("9I", memory)[8])
