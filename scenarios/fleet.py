"""trio: the workers of a run, as the first process sees them: started, told, listened to, and missed when one dies.

Source: DESIGN section 3.
"""

from __future__ import annotations

import functools
import operator
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import trio

from netem.account_parts import unpack
from netem.accounts import Account
from netem.changes import AnyChange
from netem.channel import FrameChannel
from netem.errors import BadFrame, ConfigError
from netem.events import Event
from netem.reading import Reading
from node import events as node_events
from scenarios import control
from scenarios.remote_peer import Line, RemotePeer
from tracker import events as tracker_events

PATIENCE_S = 30.0  # for what a worker does at once when it is well
A = TypeVar("A", bound=control.FromWorker)


class _Worker:
    """One worker process: its pipes, and what it said that somebody waits for."""

    def __init__(self, number: int, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.number = number
        self.process = process
        self.mine: list[str] = []
        self.pipe = FrameChannel(trio.StapledStream(process.stdin, process.stdout))
        self.orders, self.to_send = trio.open_memory_channel[control.AnyOrder](float("inf"))
        self.said, self.heard = trio.open_memory_channel[control.AnyAnswer](float("inf"))
        self.line = Line(self.order)
        self.finished = False
        self.dead = ""

    def order(self, order: control.AnyOrder) -> None:
        """Send an order."""
        if not self.dead:
            self.orders.send_nowait(order)

    async def wait_for(self, kind: type[A]) -> A | None:
        """Return the next answer of a kind, which must be what comes next; None if the worker is dead.

        Raises:
            ConfigError: the worker refuses what it was asked to prepare.
        """
        with trio.move_on_after(PATIENCE_S):
            async for answer in self.heard:
                if isinstance(answer, control.Refused):
                    raise ConfigError(answer.field, answer.value, answer.allowed)
                assert isinstance(answer, kind), answer
                return answer
        return None


class Fleet:
    """All workers of a run.

    Args:
        processes: how many.
        emit_at: takes the workers' events with their times.
        on_death: called with the reason when a worker dies, or cannot do what the run needs.
        capture: let the workers capture their packets.

    Attributes:
        on_reading: takes a worker's number, the reading's number, and what the worker read of its network.
    """

    def __init__(
        self,
        processes: int,
        *,
        emit_at: Callable[[int, Event], None],
        on_death: Callable[[str], None],
        capture: bool = False,
    ) -> None:
        self.capture = capture
        self.on_reading: Callable[[int, int, Reading], None] = lambda worker, number, reading: None  # noqa: ARG005  # nobody wants them
        self._processes = processes
        self._emit_at = emit_at
        self._on_death = on_death
        self._decode = msgspec.msgpack.Decoder(_timed_event()).decode
        self._workers: list[_Worker] = []
        self._taking_part = False
        self._early: list[AnyChange] | None = []  # changes made before there was a network elsewhere

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the workers and carry messages until cancelled; no process is left then."""
        try:
            for number in range(1, self._processes + 1):
                self._workers.append(_Worker(number, await _spawn()))
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    nursery.start_soon(self._write, worker)
                    nursery.start_soon(self._read, worker)
                task_status.started()
        finally:
            for worker in self._workers:
                worker.process.kill()
            with trio.CancelScope(shield=True):
                for worker in self._workers:
                    await worker.process.wait()

    async def _write(self, worker: _Worker) -> None:
        try:
            async for order in worker.to_send:
                await worker.pipe.send(control.encode(order))
        except trio.BrokenResourceError:
            return  # dead: its reader says so

    async def _read(self, worker: _Worker) -> None:
        while (frame := await self._receive(worker)) is not None:
            match control.decode_answer(frame):
                case control.Events(events):
                    for time_ns, event in map(self._decode, events):
                        self._emit_at(time_ns, event)
                case control.Returned() | control.Failed() as answer:
                    worker.line.answer(answer)
                case control.Readings(number, reading):
                    self.on_reading(worker.number, number, reading)
                case control.Broken(reason):
                    self._on_death(f"process {worker.number}: {reason}")
                case other:
                    worker.finished = isinstance(other, control.Finished)
                    worker.said.send_nowait(other)
        if not worker.finished:
            await self._bury(worker)

    async def _receive(self, worker: _Worker) -> bytes | None:
        try:
            return await worker.pipe.receive()
        except trio.BrokenResourceError:
            return None
        except BadFrame:  # something else wrote to its pipe
            return None

    async def _bury(self, worker: _Worker) -> None:
        with trio.move_on_after(1):
            await worker.process.wait()
        status = worker.process.returncode
        how = "hung up" if status is None else f"signal {-status}" if status < 0 else f"exit status {status}"
        names = f"{worker.mine[0]} to {worker.mine[-1]}, {len(worker.mine)} nodes" if worker.mine else "no nodes yet"
        worker.dead = f"process {worker.number} died ({how}; {names})"
        worker.said.close()
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
        accounts = []
        for worker in self._workers:
            parts = []
            with trio.move_on_after(PATIENCE_S):
                async for answer in worker.heard:
                    if not isinstance(answer, control.Part):
                        break
                    parts.append(answer.data)
            accounts.append(unpack(parts))
        return [] if self._any_dead() else accounts

    def _any_dead(self) -> bool:
        return any(worker.dead for worker in self._workers)

    def _tell(self, order: control.AnyOrder) -> None:
        for worker in self._workers:
            worker.order(order)

    async def _all(self, kind: type[A]) -> list[A | None]:
        return [await worker.wait_for(kind) for worker in self._workers]


async def _spawn() -> trio.Process:
    """Start a worker, in a session of its own: a Ctrl-C is for the first process alone."""
    return await trio.lowlevel.open_process(
        [sys.executable, "-m", "scenarios.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def _timed_event() -> Any:
    """Return the type of a time with any event that peers emit."""
    found = {kind for module in (node_events, tracker_events) for kind in vars(module).values() if _is_event(kind)}
    union: Any = functools.reduce(operator.or_, sorted(found, key=lambda kind: kind.__name__))
    return tuple[int, union]


def _is_event(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
