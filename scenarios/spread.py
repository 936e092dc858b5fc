"""trio: what a run needs besides when its nodes live in several processes: workers, ordered events, sums, and one file of many parts.

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
from netem.network import Network
from netem.real_time import RealTime
from scenarios.control import part_of
from scenarios.fleet import Fleet
from scenarios.options import Options
from scenarios.pool import Pool

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
        self.fleet = Fleet(options.procs or 1, emit_at=events.emit_at, on_death=on_death, capture=options.capture)
        self._events = events
        self._capture = options.capture
        self._directory = directory
        self._pool: Pool

    def attach(self, network: Network) -> None:
        """Let a network's readings be those of all processes; call it once, before `run`."""
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

    async def count(self, clock: Clock) -> list[Account]:
        """Stop all departures, then return what the workers know of the packets; nothing if one is dead."""
        assert isinstance(clock, RealTime)
        accounts = await self.fleet.report(clock.halt)
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
