"""trio: the emulated network of a run: hosts, links, faults, and the account of every packet.

Links and their state are made when the first packet needs them.

Source: DESIGN section 3.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Sequence

import trio

from netem import accounts
from netem.accounts import Account
from netem.backbone import OnDatagram, StreamHandler
from netem.certificate import Certificate, Conservation
from netem.clock import TrueClock
from netem.errors import ConfigError
from netem.fates import FateLog
from netem.host import Endpoint, Host
from netem.hub import Hub
from netem.impairments import kinds
from netem.lag import LagMeter
from netem.layers import LinkOf
from netem.link import LinkConfig
from netem.links import Links
from netem.mirrored import Mirror, OnFault
from netem.parts import PLAIN, Parts
from netem.reader import Reader
from netem.reading import Readings
from netem.route import Address, Route, Wire
from netem.scheduled import Scheduled
from netem.streams import ShapedStream
from netem.tcp import Switchboard

IDEAL = LinkConfig()  # no impairment
QUEUE_BYTES = 256 * 1024
MOST_STRANGERS = 4_096


class Network(Scheduled):
    """Hosts and the directed links between them; what may be changed while it runs is in `changeable` and `scheduled`.

    Args:
        clock: the run's clock; virtual time delivers in memory, real time over sockets. Its own `run` runs elsewhere.
        run_seed: keys all randomness.
        default_link: what every link does unless `impair` said otherwise.
        link_of: what each link does instead, by source and target; None for `default_link` everywhere.
        on_fault: called as (kind, description) for every live change: `faults.KINDS`.
        mirror: called with every live change, so that other processes of the run make it too.
        strangers: let unknown addresses take part, each as a host of its own, at most 4,096.
        parts: what it is made of; those of `parts.captured` tell a capture of every packet.

    Attributes:
        hosts: by name, in order of creation.
        foreign: datagrams received that were none of ours.
        lag: the event-loop lag; empty under virtual time.
        readings: its sums while it runs; who knows those of the run's other processes, too, puts them here.
    """

    def __init__(
        self,
        clock: TrueClock,
        *,
        run_seed: int,
        default_link: LinkConfig = IDEAL,
        link_of: LinkOf | None = None,
        on_fault: OnFault | None = None,
        mirror: Mirror | None = None,
        strangers: bool = False,
        parts: Parts = PLAIN,
    ) -> None:
        self.owners: dict[Address, Host] = {}
        self.foreign = 0
        self.fates = FateLog()
        self.lag = LagMeter(clock)
        self.wire: Wire = (parts.virtual_wire if clock.virtual else parts.real_wire)(clock, self.fates)
        streams = (parts.virtual_streams if clock.virtual else parts.real_streams)()
        links = Links(
            clock,
            self.wire,
            self.fates,
            run_seed=run_seed,
            link_of=link_of or (lambda _source, _target: default_link),
            route=parts.route,
        )
        self._parts = parts
        # The ephemeral port of a connection says nothing: streams know a stranger by its ip.
        switchboard = Switchboard(streams, lane=links.lane, elsewhere=lambda address: self._at(address[0], 0))
        super().__init__(clock, links, switchboard, run_seed=run_seed, on_fault=on_fault, mirror=mirror)
        self.readings: Readings = Reader(self)
        self._strangers = strangers
        self._elsewhere: dict[str, Host] = {}  # by ip

    @property
    def routes(self) -> Sequence[Route]:
        """Return the routes there are so far, in the order of their link ids; the list grows."""
        return self.links.routes

    def add_host(
        self,
        name: str,
        *,
        upload_bytes_per_s: float = math.inf,
        download_bytes_per_s: float = math.inf,
        queue_bytes: int = QUEUE_BYTES,
        ip: str | None = None,
        here: bool = True,
    ) -> Host:
        """Add a host with its shared access link; both directions have a queue of `queue_bytes`.

        `ip` None takes the next loopback address: processes that add the same hosts in the same order agree. With `here` False
        the host's sockets are in another process, and only its address is known.

        Raises:
            ConfigError: the name is taken, or a rate or the queue is not above 0.
        """
        if name in self.hosts:
            raise ConfigError("host", name, "a name that no other host has")
        for field, value in (
            ("upload_bytes_per_s", upload_bytes_per_s),
            ("download_bytes_per_s", download_bytes_per_s),
            ("queue_bytes", queue_bytes),
        ):
            if not value > 0:
                raise ConfigError(field, value, "above 0")
        host = self.hosts[name] = Host(
            name,
            ip or loopback_ip(len(self.hosts)),
            backbone=self,
            upload_bytes_per_s=upload_bytes_per_s,
            download_bytes_per_s=download_bytes_per_s,
            queue_bytes=queue_bytes,
            here=here,
        )
        self._parts.name_host(host.ip, name)
        if not here:
            self._elsewhere[host.ip] = host
            if isinstance(self.wire, Hub):
                self.wire.keep_bound = True
        return host

    def owner_elsewhere(self, address: Address) -> Host | None:
        """Return the host of another process that has an address; None when there is none."""
        return self._at(*address)

    def _at(self, ip: str, port: int) -> Host | None:
        known = self._elsewhere.get(ip)
        if known is not None or not self._strangers:
            return known
        name = f"{ip}:{port}"
        if name not in self.hosts and len(self.hosts) < MOST_STRANGERS:
            self.add_host(name, ip=ip, here=False)
            del self._elsewhere[ip]  # several strangers may share it
        return self.hosts.get(name)

    def make_route(self, source: Host, target: Host) -> Route:
        """Make the route of a pair of hosts that has none yet."""
        return self.links.make_route(source, target)

    def make_endpoint(self, host: Host, on_datagram: OnDatagram, *, port: int) -> Endpoint:
        """Open a UDP socket (see `Host.open_udp`)."""
        return self._parts.endpoint(host, on_datagram, port=port)

    async def listen(self, host: Host, handler: StreamHandler, *, nursery: trio.Nursery, port: int) -> Address:
        """Listen (see `Host.listen_tcp`)."""
        return await self._switchboard.listen(host, handler, nursery=nursery, port=port)

    async def connect(self, host: Host, address: Address) -> ShapedStream:
        """Connect (see `Host.connect_tcp`)."""
        return await self._switchboard.connect(host, address)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry traffic until cancelled, then count what lies in sockets as received and close them all."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._switchboard.run)
            if isinstance(self.wire, Hub):
                _load_for_changes()
                nursery.start_soon(self.wire.run)
                nursery.start_soon(self.lag.run)
            task_status.started()

    def conservation(self) -> Conservation:
        """Return the account of all packets; over real sockets it balances once `run` has ended."""
        return self._conserved().settled()

    def _conserved(self) -> Conservation:
        return accounts.conserve(
            self.hosts.values(), self.links.routes, self.fates, kernel_drops=self.wire.kernel_drops()
        )

    def account(self) -> Account:
        """Return all that this process knows of the network's packets; over real sockets, call it after `run` has ended."""
        return Account(
            self._conserved(),
            links=accounts.count_links(self.links.routes, self.fates),
            lateness=self.fates.lateness,
            lag=self.lag.histogram,
            foreign=self.foreign,
            delays=dict(self.fates.delays()),
        )

    def certificate(self) -> Certificate:
        """Judge the run so far, as far as this process saw it."""
        return self.account().certificate()

    def fate_counts(self) -> dict[str, int]:
        """Return sent, copies, delivered, in_flight and each cause by name, sorted by name."""
        return self.account().fates()


def loopback_ip(number: int) -> str:
    """Return the address of host `number` (0 .. 15,874,999): its own on Linux, else the one there is."""
    if sys.platform != "linux":
        return "127.0.0.1"
    rest, last = divmod(number, 250)
    second, third = divmod(rest, 250)
    return f"127.{second + 1}.{third}.{last + 1}"


def _load_for_changes() -> None:
    """Load what a live change to any impairment needs: in the midst of a run that takes a quarter of a second, and makes it void."""
    kinds()
    importlib.import_module("scipy.special")
