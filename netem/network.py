"""trio: the emulated network of a run: hosts, links, faults, and the account of every packet.

Links and their state are made when the first packet needs them.

Source: DESIGN section 3.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import trio

from netem import accounts, changes, tc
from netem.accounts import Account
from netem.certificate import Certificate, Conservation
from netem.changes import AnyChange
from netem.clock import Clock
from netem.errors import ConfigError
from netem.fates import FateLog
from netem.faults import Cuts, Pair, pairs_between
from netem.host import Host, StreamHandler, loopback_ip
from netem.hub import Hub
from netem.lag import LagMeter
from netem.lane import Lane
from netem.link import Link, LinkConfig
from netem.memory import MemoryStreams, MemoryWire
from netem.plain_link import from_plain, to_plain
from netem.randomness import BlockUniforms
from netem.route import Address, Route, Wire
from netem.socket_stream import SocketStreams
from netem.streams import ShapedStream
from netem.tcp import StreamWire, Switchboard

IDEAL = LinkConfig()  # no impairment
QUEUE_BYTES = 256 * 1024
MOST_STRANGERS = 4_096
OnFault = Callable[[str, str], None]


class Network:
    """Hosts and the directed links between them.

    Args:
        clock: the run's clock; virtual time delivers in memory, real time over sockets. Its own `run` runs elsewhere.
        run_seed: keys all randomness.
        default_link: what every link does unless `impair` said otherwise.
        on_fault: called as (kind, description) for every live change: `faults.KINDS`.
        mirror: called with every live change, so that other processes of the run make it too.
        strangers: let unknown addresses take part, each as a host of its own, at most 4,096.

    Attributes:
        hosts: by name, in order of creation.
        foreign: datagrams received that were none of ours.
        lag: the event-loop lag; empty under virtual time.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        run_seed: int,
        default_link: LinkConfig = IDEAL,
        on_fault: OnFault | None = None,
        mirror: Callable[[AnyChange], None] | None = None,
        strangers: bool = False,
    ) -> None:
        self.hosts: dict[str, Host] = {}
        self.owners: dict[Address, Host] = {}
        self.foreign = 0
        self.clock = clock
        self.fates = FateLog()
        self.lag = LagMeter(clock)
        self.wire: Wire = MemoryWire(clock, self.fates) if clock.virtual else Hub(clock, self.fates)
        streams: StreamWire = MemoryStreams() if clock.virtual else SocketStreams()
        # The ephemeral port of a connection says nothing: streams know a stranger by its ip.
        self._switchboard = Switchboard(streams, lane=self._lane, elsewhere=lambda address: self._at(address[0], 0))
        self._strangers = strangers
        self._elsewhere: dict[str, Host] = {}  # by ip
        self._mirror = mirror
        self._uniforms = BlockUniforms(run_seed)
        self._default = default_link
        self._configs: dict[tuple[str, str], LinkConfig] = {}
        self._routes: list[Route] = []  # by link id
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._cuts = Cuts()
        self._healed = trio.lowlevel.ParkingLot()
        self._on_fault = on_fault

    @property
    def routes(self) -> Sequence[Route]:
        """Return the routes there are so far, in the order of their link ids; the list grows."""
        return self._routes

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

    def impair(self, source: str, target: str, config: LinkConfig) -> None:
        """Set what one directed link does, from the next packet on; packets under way are not touched.

        Raises:
            ConfigError: there is no such host.
        """
        ends = self._host(source), self._host(target)
        self._configs[source, target] = config
        route = ends[0].routes.get(ends[1])
        if route is not None:
            self._reconfigure(route, config)
        self._tell("impair", f"{source} > {target}: {tc.describe(config)}")
        self._change_elsewhere(changes.Impair(source, target, to_plain(config)))

    def impair_all(self, config: LinkConfig) -> None:
        """Set what every link does, those to come included."""
        self._default = config
        self._configs.clear()
        for route in self._routes:
            self._reconfigure(route, config)
        self._tell("impair", f"all: {tc.describe(config)}")
        self._change_elsewhere(changes.ImpairAll(to_plain(config)))

    def _reconfigure(self, route: Route, config: LinkConfig) -> None:
        route.link.reconfigure(config)
        # Only the sender's process knows which packet is the first that meets the change.
        self._classify(route, since=route.link.number if route.source.here else None)
        lane = self._lanes.get((route.source.name, route.target.name))
        if lane is not None:
            lane.reconfigure(config)

    @contextlib.contextmanager
    def partition(self, group: Iterable[str], rest: Iterable[str], *, one_way: bool = False) -> Iterator[None]:
        """Cut two groups of hosts off from each other until the guard ends; `one_way` cuts group to rest only.

        Packets under way still arrive. Partitions may overlap: a pair is open again when all its cuts have ended.

        Raises:
            ConfigError: there is no such host, or one is on both sides.
        """
        groups = [self._host(name).name for name in group], [self._host(name).name for name in rest]
        pairs = pairs_between(*groups, one_way=one_way)
        what = f"{', '.join(groups[0])} {'>' if one_way else '<>'} {', '.join(groups[1])}"
        self._cut(pairs)
        self._tell("partition", what)
        try:
            yield
        finally:
            self._mend(pairs)
            self._tell("heal", what)

    def _cut(self, pairs: Sequence[Pair]) -> None:
        self._cuts.add(pairs)
        self._open_and_close()
        self._change_elsewhere(changes.Cut(list(pairs)))

    def _mend(self, pairs: Sequence[Pair]) -> None:
        self._cuts.remove(pairs)
        self._open_and_close()
        self._healed.unpark_all()
        self._change_elsewhere(changes.Mend(list(pairs)))

    def _open_and_close(self) -> None:
        for route in self._routes:
            route.link.open = self._cuts.is_open((route.source.name, route.target.name))

    def crash(self, host: str) -> None:
        """Crash a host: sockets close, streams reset at both ends, packets to it find nobody (DESTINATION_DOWN).

        Its packets in flight still travel. Its tasks are the caller's to cancel.

        Raises:
            ConfigError: there is no such host, or it is down.
        """
        crashed = self._host(host)
        if not crashed.up:
            raise ConfigError("crash", host, "a host that is up")
        crashed.up = False
        for endpoint in list(crashed.endpoints):
            endpoint.close()
        self._switchboard.crash(crashed)
        self._tell("crash", host)
        self._change_elsewhere(changes.Crash(host))

    def restart(self, host: str) -> None:
        """Let a crashed host open sockets again.

        Raises:
            ConfigError: there is no such host, or it is up.
        """
        restarted = self._host(host)
        if restarted.up:
            raise ConfigError("restart", host, "a host that is down")
        restarted.up = True
        self._tell("restart", host)
        self._change_elsewhere(changes.Restart(host))

    def begin(self) -> None:
        """Judge the host's lag and lateness from now on: starting many nodes at once is no part of what is emulated."""
        self.fates.lateness.begin()
        self.lag.histogram.begin()
        self._change_elsewhere(changes.Begin())

    def apply(self, change: AnyChange) -> None:
        """Make a change that another process of the run has made; raise ConfigError as its method does."""
        match change:
            case changes.Impair(source, target, config):
                self.impair(source, target, from_plain(config))
            case changes.ImpairAll(config):
                self.impair_all(from_plain(config))
            case changes.Cut(pairs):
                self._cut(pairs)
            case changes.Mend(pairs):
                self._mend(pairs)
            case changes.Crash(host):
                self.crash(host)
            case changes.Restart(host):
                self.restart(host)
            case changes.Begin():
                self.begin()

    def _change_elsewhere(self, change: AnyChange) -> None:
        if self._mirror is not None:
            self._mirror(change)

    def _host(self, name: str) -> Host:
        if name not in self.hosts:
            raise ConfigError("host", name, f"one of {', '.join(self.hosts)}")
        return self.hosts[name]

    def _tell(self, kind: str, description: str) -> None:
        if self._on_fault is not None:
            self._on_fault(kind, description)

    def make_route(self, source: Host, target: Host) -> Route:
        """Make the route of a pair of hosts that has none yet."""
        names = source.name, target.name
        config = self._configs.get(names, self._default)
        link = Link(config, source=names[0], target=names[1], uniforms=self._uniforms, link_id=len(self._routes))
        link.open = self._cuts.is_open(names)
        route = source.routes[target] = Route(source, target, link, clock=self.clock, wire=self.wire)
        self._routes.append(route)
        self._classify(route, since=0)
        return route

    def _classify(self, route: Route, *, since: int | None) -> None:
        config = route.link.config
        self.fates.classify(route.link_id, config.impairments, law=config.delay_law, since=since)
        if config.rate_bytes_per_s != math.inf:
            self.fates.rated.add(route.link_id)

    def _lane(self, source: Host, target: Host) -> Lane:
        if (names := (source.name, target.name)) not in self._lanes:
            route = source.routes.get(target) or self.make_route(source, target)
            self._lanes[names] = Lane(route, uniforms=self._uniforms, clock=self.clock, healed=self._healed)
        return self._lanes[names]

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
                nursery.start_soon(self.wire.run)
                nursery.start_soon(self.lag.run)
            task_status.started()

    def conservation(self) -> Conservation:
        """Return the account of all packets; over real sockets it balances once `run` has ended."""
        return accounts.conserve(self.hosts.values(), self._routes, self.fates, kernel_drops=self.wire.kernel_drops())

    def account(self) -> Account:
        """Return all that this process knows of the network's packets; over real sockets, call it after `run` has ended."""
        return Account(
            self.conservation(),
            links=accounts.count_links(self._routes, self.fates),
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
