"""trio: the real wire: one receive hub over all UDP sockets of the process.

Every socket is in one selector that trio waits on; a wake-up drains at most 64 datagrams per socket. Sending is a plain
non-blocking `sendto` from the sender's own socket.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import sys
from collections.abc import Iterator

import trio

from netem.clock import Clock
from netem.fates import Cause, FateLog
from netem.host import Endpoint
from netem.memory import port_taken
from netem.route import HEADER, Address

DRAIN_MOST = 64  # datagrams per socket and wake-up, so that no socket starves the others
_RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
_READ_BYTES = 2048  # longer than any datagram of ours, so that a longer foreign one shows
_SO_MEMINFO = 55  # Linux: nine u32 about the memory of a socket; the last counts its drops


class Hub:
    """Delivery over real sockets (a `Wire`).

    Attributes:
        keep_bound: keep the sockets of closed endpoints bound to the end, and count what other processes still send there: a
            closed port would swallow it without a trace.

    Invariant: a frame handed to the kernel is read once, or dropped by the kernel and counted by its socket.
    """

    def __init__(self, clock: Clock, fates: FateLog) -> None:
        self.endpoints: dict[Address, Endpoint] = {}
        self._sockets: dict[Address, socket.socket] = {}
        self._lingerers: dict[Address, int] = {}  # closed endpoints with packets in flight, by address
        self._selector = selectors.DefaultSelector()
        self._now_ns = clock.now_ns
        self._late = fates.late
        self._drops_of_closed = 0
        self.keep_bound = False

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
        if sock in self._selector.get_map():
            self._selector.modify(sock, selectors.EVENT_READ, (endpoint, sock))
        else:
            self._selector.register(sock, selectors.EVENT_READ, (endpoint, sock))

    def close(self, endpoint: Endpoint) -> None:
        """Unbind a socket; it lingers while packets from it are in flight, which must leave from its address."""
        address = endpoint.address
        del self.endpoints[address]
        sock = self._sockets[address]
        nobody = _Nobody(endpoint)
        for frame, source in unread(sock):
            nobody.receive(frame, source)
        if self.keep_bound:
            self._selector.modify(sock, selectors.EVENT_READ, (nobody, sock))
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
            self._free(self._sockets.pop(address))

    def _free(self, sock: socket.socket) -> None:
        self._drops_of_closed += socket_drops(sock) or 0
        sock.close()

    def carry(  # noqa: PLR0917 - per packet, keywords cost
        self,
        link_id: int,  # noqa: ARG002 - the receiver learns it from the source address
        sender: Endpoint,
        receiver: Endpoint,
        data: bytes,
        number: int,
        sent_ns: int,
        due_ns: int,
    ) -> bool:
        """Send a packet and note how late that is; False when the socket's buffer is full."""
        return self.send_away(sender, receiver.address, HEADER.pack(number, sent_ns) + data, due_ns=due_ns)

    def send_away(self, sender: Endpoint, target: Address, frame: bytes, *, due_ns: int) -> bool:
        """Send a frame to any address (see `Wire.send_away`)."""
        self._late(self._now_ns() - due_ns)
        try:
            self._sockets[sender.address].sendto(frame, target)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
                raise
            return False
        return True

    async def run(self) -> None:
        """Read sockets until cancelled; then count what is still unread as received, and close everything."""
        select = self._selector.select
        descriptor = self._selector.fileno()
        try:
            while True:
                await trio.lowlevel.wait_readable(descriptor)
                for key, _ in select(0):
                    read_some(*key.data)
        finally:
            self._stop()

    def _stop(self) -> None:
        for endpoint in list(self.endpoints.values()):
            for frame, source in unread(self._sockets[endpoint.address]):
                endpoint.record(frame, source)
            endpoint.close()
        for key in list(self._selector.get_map().values()):
            nobody, sock = key.data
            for frame, source in unread(sock):
                nobody.receive(frame, source)
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

    def receive(self, frame: bytes, source: Address) -> None:
        """Count a frame as DESTINATION_DOWN."""
        route = self._endpoint.route_from(frame, source)
        if route is not None:
            route.carried -= 1
            route.link.dropped[Cause.DESTINATION_DOWN] += 1


def read_some(endpoint: Endpoint | _Nobody, sock: socket.socket) -> None:
    """Hand at most 64 waiting datagrams to an endpoint, which a handler may close meanwhile."""
    receive = endpoint.receive
    for _ in range(DRAIN_MOST):
        if not endpoint.open:
            return
        try:
            frame, source = sock.recvfrom(_READ_BYTES)
        except BlockingIOError:
            return
        receive(frame, source)


def unread(sock: socket.socket) -> Iterator[tuple[bytes, Address]]:
    """Read what waits in a socket's buffer, to the end."""
    while True:
        try:
            yield sock.recvfrom(_READ_BYTES)
        except BlockingIOError:
            return


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
        raise port_taken(*address) from error
    return sock


def socket_drops(sock: socket.socket) -> int | None:
    """Return how many datagrams the kernel dropped at a socket; None where it does not say."""
    if sys.platform != "linux":
        return None
    memory = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
    return int(struct.unpack("9I", memory)[8])
