"""trio: what a run needs besides when its nodes live in several processes: workers and what they are told, ordered events, sums, and one file of many parts.

Source: DESIGN section 3 (several processes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from netem.accounts import Account
from netem.capture_merge import merge as merge_captures
from netem.clock import Clock, S
from netem.events import EventStream
from netem.fate_file import join
from netem.layout import Layout
from netem.link_config import LinkConfig
from netem.network import Network
from netem.plain_link import to_plain
from netem.real_time import RealTime
from scenarios.control import HostPlan, PeerPlan, Prepare, part_of
from scenarios.fleet import Fleet
from scenarios.options import Options
from scenarios.pool import Pool
from scenarios.remote_peer import RemotePeer

CAPTURE = "capture.pcapng"
FATES = "fates.msgpack"
HOLD_NS = S // 2  # how long events wait for earlier ones from other processes


class Spread:
    """The other processes of a run.

    Args:
        options: how the run is played; `procs` is above 1.
        events: takes the workers' events; it holds what it is given for `HOLD_NS`.
        directory: the run's, where every process writes its parts of fates and capture.
        on_death: called with the reason when a worker dies, or cannot do what the run needs.

    Attributes:
        fleet: the workers.
    """

    def __init__(
        self, options: Options, events: EventStream, *, directory: Path, on_death: Callable[[str], None]
    ) -> None:
        self.fleet = Fleet(options.procs or 1, emit_at=events.emit_at, on_death=on_death)
        self._events = events
        self._capture = options.capture
        self._directory = directory
        self._pool: Pool
        self._network: Network
        self._clock: RealTime

    def attach(self, network: Network, clock: Clock) -> None:
        """Spread a network that lives in real time: its readings are those of all processes from now on. Call it once, before `run`."""
        assert isinstance(clock, RealTime)
        self._clock = clock
        self._network = network
        network.readings = self._pool = Pool(network, self.fleet)
        self.fleet.on_reading = self._pool.take

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the workers, let their events out in order and add up their readings, until cancelled; started once they all run."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.fleet.run)
            nursery.start_soon(self._pool.run)
            task_status.started()
            while True:
                await trio.sleep(HOLD_NS / S / 5)
                self._events.release()

    async def start(
        self, plan: PeerPlan, names: Sequence[str], *, layout: Layout, link: LinkConfig
    ) -> Sequence[RemotePeer]:
        """Start the peers of the hosts named, which the network has by now; return them when every one has joined.

        Args:
            plan: what the peers play.
            names: in the order of the peers.
            layout: where hosts are, and what links do.
            link: what links do where the layout does not say otherwise.

        Raises:
            ConfigError: a worker refuses the plan.
        """
        return await self.fleet.start(lambda mine: self._prepare(plan, mine, layout=layout, link=link), names)

    def _prepare(self, plan: PeerPlan, mine: list[str], *, layout: Layout, link: LinkConfig) -> Prepare:
        """Return a worker's order: this network again, with the hosts in `mine` as its own."""
        hosts = [
            HostPlan(host.name, host.upload_bytes_per_s, host.download_bytes_per_s, host.uplink.limit_bytes)
            for host in self._network.hosts.values()
        ]
        return Prepare(
            self._clock.base_ns,
            hosts,
            mine,
            to_plain(link),
            layout.text,
            list(layout.region_of.items()),
            str(self._directory),
            plan,
            capture=self._capture,
        )

    async def keep(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Stop the peers when cancelled, as the run is settled."""
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.fleet.leave()

    async def count(self) -> list[Account]:
        """Stop all departures, then return what the workers know of the packets; nothing if one is dead."""
        accounts = await self.fleet.report(self._clock.halt)
        if accounts:
            self._pool.finish()
        return accounts

    def merge_files(self) -> None:
        """Make one file of fates, and one capture, of those of all processes.

        Raises:
            OSError: the disk is full or gone; the parts that were not merged stay.
        """
        self._merge("fates", join, self._directory / FATES)
        if self._capture:
            self._merge("capture", merge_captures, self._directory / CAPTURE)

    def _merge(self, kind: str, merge: Callable[[Sequence[Path], Path], None], path: Path) -> None:
        parts = sorted(self._directory.glob(part_of(kind, "*")))
        merge(parts, path)
        for part in parts:
            part.unlink()
