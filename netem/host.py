"""trio: a host of the emulated network, and its UDP endpoints and TCP streams.

Node code sees only these two classes and trio's own streams; whether bytes cross real sockets or memory it need not know.
"""

from __future__ import annotations

import functools
import math

import trio

from netem.backbone import Backbone, OnDatagram, StreamHandler
from netem.errors import LocalProtocolError
from netem.fates import Cause, no_drops
from netem.host_clock import HostClock
from netem.impairments.corrupt import flip_bit
from netem.living import Living
from netem.rate_queue import RateQueue
from netem.route import HEADER_BYTES, MAX_DATAGRAM_BYTES, Address, Path, Route


class Host(Living):
    """One machine: an address, a shared access link, sockets; it may crash, restart and pause.

    `here` is False for a host whose sockets are in another process: this one knows its address and the links to and from it.

    Rates are bytes/s of datagrams with their netem header (UDP and IP headers are not counted) and of stream bytes.
    """

    def __init__(
        self,
        name: str,
        ip: str,
        *,
        backbone: Backbone,
        upload_bytes_per_s: float,
        download_bytes_per_s: float,
        queue_bytes: int,
        here: bool = True,
    ) -> None:
        super().__init__(HostClock(backbone.clock))
        self.here = here
        self.name = name
        self.ip = ip
        self.upload_bytes_per_s = upload_bytes_per_s
        self.download_bytes_per_s = download_bytes_per_s
        self.uplink = RateQueue(upload_bytes_per_s, queue_bytes)
        self.downlink = RateQueue(download_bytes_per_s, queue_bytes)
        self.routes: dict[Host, Route] = {}  # by target
        self.sent = 0
        self.unrouted = no_drops()  # drops before any link was chosen, by cause
        self.backbone = backbone

    def open_udp(self, on_datagram: OnDatagram, *, port: int = 0) -> Endpoint:
        """Open a UDP socket; `on_datagram(data, source_address)` is called for each datagram and may not wait.

        Raises:
            ConfigError: the port is taken.
            LocalProtocolError: the host is down.
        """
        self.require_up()
        return self.backbone.make_endpoint(self, on_datagram, port=port)

    async def listen_tcp(self, handler: StreamHandler, *, nursery: trio.Nursery, port: int = 0) -> Address:
        """Accept TCP connections until the nursery is cancelled or the host crashes; return the address.

        `handler(stream)` runs as a task of `nursery` per connection; the stream is closed when it returns. A reset of
        that stream reaches it as trio.BrokenResourceError, which it need not catch: it ends the handler and nothing else.

        Raises:
            ConfigError: the port is taken.
            LocalProtocolError: the host is down.
        """
        self.require_up()
        return await self.backbone.listen(self, handler, nursery=nursery, port=port)

    async def connect_tcp(self, address: Address) -> trio.abc.Stream:
        """Connect after one round trip of the links; a partition stalls it until healed, as a lost SYN is sent again.

        Raises:
            ConnectionRefusedError: nobody listens there, or that host is down.
            TimeoutError: too many handshake segments in a row were lost.
            LocalProtocolError: this host is down.
        """
        self.require_up()
        await self.wait_awake()
        return await self.backbone.connect(self, address)

    def require_up(self) -> None:
        """Raise LocalProtocolError when the host is down, or in another process."""
        if not self.here:
            raise LocalProtocolError(f"host {self.name} is in another process")
        if not self.up:
            raise LocalProtocolError(f"host {self.name} is down")


class Endpoint:
    """A UDP socket of a host."""

    __slots__ = (
        "_backbone",
        "_base_ns",
        "_elapsed_ns",
        "_fates",
        "_handler",
        "_owners",
        "_paths",
        "address",
        "host",
        "in_flight",
        "on_datagram",
        "open",
        "sources",
    )

    def __init__(self, host: Host, on_datagram: OnDatagram, *, port: int) -> None:
        self.host = host
        self.open = True
        self.in_flight = 0  # packets of ours that are still under way
        self.on_datagram = self._handler = on_datagram
        self.sources: dict[Address, int] = {}  # link ids of senders whose frames need nothing but to be recorded
        self._paths: dict[Address, Path] = {}  # by target address, as far as they were needed; none once closed
        self._backbone = host.backbone
        self._owners = host.backbone.owners
        self._fates = host.backbone.fates
        self._base_ns, self._elapsed_ns = host.backbone.clock.base_ns, host.backbone.clock.elapsed_ns
        self.address: Address = (host.ip, port)
        self._backbone.wire.open(self, port=port)
        self._owners[self.address] = host
        host.endpoints.append(self)
        if host.paused:
            self.pause()

    def send(self, data: bytes, target: Address) -> None:
        """Send a datagram; what becomes of it is counted by cause, never raised.

        Raises:
            LocalProtocolError: data and the 12-byte netem header exceed 1200 bytes; nothing was sent or counted.
        """
        size_bytes = len(data) + HEADER_BYTES
        if size_bytes > MAX_DATAGRAM_BYTES:
            raise LocalProtocolError(f"a datagram of {len(data)} bytes; at most {MAX_DATAGRAM_BYTES - HEADER_BYTES}")
        self.host.sent += 1
        path = self._paths.get(target)
        if path is None:
            path = self._find_path(target, data)
            if path is None:
                return
        route = path.route
        link = path.link
        # Functions in slots are taken out before they are called: Python looks a method up twice as long.
        elapsed_ns, admit = self._elapsed_ns, route.admit
        departure_ns = admit(self._base_ns + elapsed_ns(), size_bytes)
        if departure_ns < 0:
            link.dropped[Cause.UPLINK_QUEUE] += 1
            return
        verdict = link.verdict
        arrival_ns = verdict(departure_ns, size_bytes)
        if link.unusual:
            self._send_unusual(path, data, arrival_ns)
        elif arrival_ns > 0:
            route.in_flight += 1
            self.in_flight += 1
            post = route.post
            post(path, data, link.number - 1, arrival_ns - link.delay_ns, arrival_ns)

    def _send_unusual(self, path: Path, data: bytes, arrival_ns: int) -> None:
        """Send a packet that has a copy, is damaged, or both."""
        route, link = path.route, path.link
        for due_ns, delay_ns, damage in (
            (arrival_ns, link.delay_ns, link.damage),
            (link.copy_at, link.copy_delay_ns, link.copy_damage),
        ):
            if due_ns > 0:
                route.in_flight += 1
                self.in_flight += 1
                route.post(path, flip_bit(data, damage), link.number - 1, due_ns - delay_ns, due_ns)

    def _find_path(self, target: Address, data: bytes) -> Path | None:
        host = self.host
        if host.paused and self.open:  # no path is known then, so that only a paused host pays for asking
            host.sent -= 1
            host.keep_unsent(self, data, target)
            return None
        owner = self._owners.get(target) or self._backbone.owner_elsewhere(target)
        if not self.open:
            host.unrouted[Cause.SOURCE_DOWN] += 1
            return None
        if owner is None:
            host.unrouted[Cause.DESTINATION_DOWN] += 1
            return None
        route = host.routes.get(owner) or self._backbone.make_route(host, owner)
        path = self._paths[target] = Path(route, self, target)
        return path

    def receive(self, frame: bytes, source: Address) -> None:
        """Take a frame off the wire: record its fate and call the handler without the header."""
        route = self.route_from(frame, source)
        if route is None:
            self._backbone.foreign += 1
        elif route.source.here or self.host.download_bytes_per_s == math.inf:
            self.sources[source] = route.link_id
            self.deliver(route, frame, source, arrived_ns=self._base_ns + self._elapsed_ns())
        else:
            route.take(self, frame, source)

    def deliver(self, route: Route, frame: bytes, source: Address, *, arrived_ns: int) -> None:
        """Record the fate of a frame and call the handler."""
        self._log(route, frame, arrived_ns)
        self.on_datagram(frame[HEADER_BYTES:], source)

    def record(self, frame: bytes, source: Address) -> bool:
        """Record the fate of a frame; False (and counted) when it is foreign."""
        route = self.route_from(frame, source)
        if route is None:
            self._backbone.foreign += 1
            return False
        self._log(route, frame, self._base_ns + self._elapsed_ns())
        return True

    def _log(self, route: Route, frame: bytes, arrived_ns: int) -> None:
        self._fates.read(route.link_id, frame[:HEADER_BYTES], arrived_ns)
        if route.link_id in self._fates.rated:
            self._fates.weigh(route.link_id, len(frame))

    def lose(self, frame: bytes, source: Address) -> None:
        """Count a frame that came after the close as DESTINATION_DOWN."""
        route = self.route_from(frame, source)
        if route is not None:
            route.carried -= 1
            route.link.dropped[Cause.DESTINATION_DOWN] += 1

    def route_from(self, frame: bytes, source: Address) -> Route | None:
        """Return the route a frame came by; None for a foreign one: too short, or from no socket of ours."""
        if len(frame) < HEADER_BYTES:
            return None
        owner = self._owners.get(source)
        if owner is None and (owner := self._backbone.owner_elsewhere(source)) is not None:
            return owner.routes.get(self.host) or self._backbone.make_route(owner, self.host)
        return owner.routes.get(self.host) if owner is not None else None

    def pause(self) -> None:
        """Let what arrives, and what is sent, wait in the host."""
        self._paths.clear()
        self.on_datagram = functools.partial(self.host.keep_unread, self)

    def resume(self) -> None:
        """Hand over and send again."""
        self.on_datagram = self._handler

    def close(self) -> None:
        """Close the socket; packets in flight from here still travel, those to here will find nobody. Idempotent."""
        if self.open:
            self.open = False
            self._paths.clear()
            self.host.endpoints.remove(self)
            self._backbone.wire.close(self)
