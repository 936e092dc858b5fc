"""trio: the workers of a run, as the first process sees them: started, told, listened to, and missed when one dies.

Source: DESIGN section 3.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import trio

from netem.account_parts import unpack
from netem.accounts import Account
from netem.changes import AnyChange
from netem.events import Event
from netem.reading import Reading
from node import events as node_events
from scenarios import control
from scenarios.remote_peer import RemotePeer
from scenarios.worker_process import A, WorkerProcess, spawn
from tracker import events as tracker_events


class Fleet:
    """All workers of a run.

    Args:
        processes: how many.
        emit_at: takes the workers' events with their times.
        on_death: called with the reason when a worker dies, or cannot do what the run needs.

    Attributes:
        on_reading: takes a worker's number, the reading's number, and what the worker read of its network.
    """

    def __init__(
        self,
        processes: int,
        *,
        emit_at: Callable[[int, Event], None],
        on_death: Callable[[str], None],
    ) -> None:
        self.on_reading: Callable[[int, int, Reading], None] = lambda worker, number, reading: None  # noqa: ARG005  # nobody wants them
        self._processes = processes
        self._emit_at = emit_at
        self._on_death = on_death
        self._decode = msgspec.msgpack.Decoder(_timed_event()).decode
        self._workers: list[WorkerProcess] = []
        self._taking_part = False
        self._early: list[AnyChange] | None = []  # changes made before there was a network elsewhere

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the workers and carry messages until cancelled; no process is left then."""
        try:
            for number in range(1, self._processes + 1):
                self._workers.append(await spawn(number))
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    nursery.start_soon(worker.write)
                    nursery.start_soon(self._listen, worker)
                task_status.started()
        finally:
            for worker in self._workers:
                worker.kill()
            with trio.CancelScope(shield=True):
                for worker in self._workers:
                    await worker.wait()

    async def _listen(self, worker: WorkerProcess) -> None:
        while (answer := await worker.read()) is not None:
            match answer:
                case control.Events(events):
                    for time_ns, event in map(self._decode, events):
                        self._emit_at(time_ns, event)
                case control.Returned() | control.Failed():
                    worker.line.answer(answer)
                case control.Readings(number, reading):
                    self.on_reading(worker.number, number, reading)
                case control.Broken(reason):
                    self._on_death(f"process {worker.number}: {reason}")
                case _:
                    worker.keep(answer)
        if not worker.finished:
            await worker.bury()
            self._on_death(worker.dead)
            for one in self._workers:  # nothing is worth waiting for any more
                one.line.cut(worker.dead)
                one.order(control.Leave())

    # -- the run's stages, each for all workers at once ---------------------------------------------------------------

    async def start(self, prepare: Callable[[list[str]], control.Prepare], names: Sequence[str]) -> list[RemotePeer]:
        """Spread hosts over the workers, let all prepare, then all join; return the peers in the order of `names`.

        Raises:
            ConfigError: a worker refuses the plan.
        """
        for worker in self._workers:
            worker.mine = list(names[worker.number - 1 :: len(self._workers)])
            worker.order(prepare(worker.mine))
        early, self._early = self._early or [], None
        for change in early:
            self.change(change)
        await self._all(control.Prepared)
        self._tell(control.Join())
        peers: dict[str, RemotePeer] = {}
        for worker, joined in zip(self._workers, await self._all(control.Joined), strict=True):
            if joined is not None:
                ids = zip(worker.mine, joined.nodes, strict=True)
                peers |= {name: RemotePeer(name, node, worker.line) for name, node in ids}
        self._taking_part = True
        return [peers[name] for name in names if name in peers]

    def change(self, change: AnyChange) -> None:
        """Let all workers make a live change to the network, as soon as they have one."""
        if self._early is None:
            self._tell(control.Disturb(change))
        else:
            self._early.append(change)

    def ask(self, number: int) -> int:
        """Ask the workers for a reading, if all take part; return how many were asked."""
        if not self._taking_part:
            return 0
        self._tell(control.Read(number))
        return len(self._workers)

    async def leave(self) -> None:
        """Stop all peers."""
        self._taking_part = False
        if not self._any_dead():
            self._tell(control.Leave())
            await self._all(control.Left)

    async def report(self, halt: Callable[[], None]) -> list[Account]:
        """Stop all departures, `halt` ours, then count: return what the workers know of the packets; nothing if one is dead."""
        halt()
        if self._any_dead():
            return []
        self._tell(control.Halt())
        await self._all(control.Halted)
        self._tell(control.Report())
        accounts = [unpack(await worker.parts()) for worker in self._workers]
        return [] if self._any_dead() else accounts

    def _any_dead(self) -> bool:
        return any(worker.dead for worker in self._workers)

    def _tell(self, order: control.AnyOrder) -> None:
        for worker in self._workers:
            worker.order(order)

    async def _all(self, kind: type[A]) -> list[A | None]:
        return [await worker.wait_for(kind) for worker in self._workers]


def _timed_event() -> Any:
    """Return the type of a time with any event that peers emit."""
    found = {kind for module in (node_events, tracker_events) for kind in vars(module).values() if _is_event(kind)}
    union: Any = functools.reduce(operator.or_, sorted(found, key=lambda kind: kind.__name__))
    return tuple[int, union]


def _is_event(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
