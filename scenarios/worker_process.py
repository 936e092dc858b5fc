"""trio: one worker process of a run as the first process sees it: its pipes, what it is told, and what it said.

Source: DESIGN section 3 (several processes).
"""

from __future__ import annotations

import subprocess
import sys
from typing import TypeVar

import trio

from netem.channel import FrameChannel
from netem.errors import BadFrame, ConfigError
from scenarios import control
from scenarios.remote_peer import Line

PATIENCE_S = 30.0  # for what a worker does at once when it is well
A = TypeVar("A", bound=control.FromWorker)


async def spawn(number: int) -> WorkerProcess:
    """Start a worker, in a session of its own: a Ctrl-C is for the first process alone."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "scenarios.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    return WorkerProcess(number, process)


class WorkerProcess:
    """One worker, and what it said that somebody waits for.

    Attributes:
        number: 1 for the first.
        mine: names of the hosts that live in it.
        line: calls to its peers.
        finished: True once it said its last word.
        dead: how it died; empty while it lives, and when it ended in order.
    """

    def __init__(self, number: int, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._pipe = FrameChannel(trio.StapledStream(process.stdin, process.stdout))
        self._orders, self._to_send = trio.open_memory_channel[control.AnyOrder](float("inf"))
        self._said, self._heard = trio.open_memory_channel[control.AnyAnswer](float("inf"))
        self.number = number
        self.mine: list[str] = []
        self.line = Line(self.order)
        self.finished = False
        self.dead = ""

    def order(self, order: control.AnyOrder) -> None:
        """Send an order; a dead worker gets none."""
        if not self.dead:
            self._orders.send_nowait(order)

    async def write(self) -> None:
        """Write orders into the pipe, until the worker is dead."""
        try:
            async for order in self._to_send:
                await self._pipe.send(control.encode(order))
        except trio.BrokenResourceError:
            return  # its reader says so

    async def read(self) -> control.AnyAnswer | None:
        """Return what it says next; None when it has hung up, or something else wrote to its pipe."""
        try:
            frame = await self._pipe.receive()
        except (trio.BrokenResourceError, BadFrame):
            return None
        return None if frame is None else control.decode_answer(frame)

    def keep(self, answer: control.AnyAnswer) -> None:
        """Keep an answer for whoever waits for it."""
        self.finished = isinstance(answer, control.Finished)
        self._said.send_nowait(answer)

    async def wait_for(self, kind: type[A]) -> A | None:
        """Return the next answer of a kind, which must be what comes next; None if the worker is dead.

        Raises:
            ConfigError: the worker refuses what it was asked to prepare.
        """
        with trio.move_on_after(PATIENCE_S):
            async for answer in self._heard:
                if isinstance(answer, control.Refused):
                    raise ConfigError(answer.field, answer.value, answer.allowed)
                assert isinstance(answer, kind), answer
                return answer
        return None

    async def parts(self) -> list[bytes]:
        """Return the parts of its account, until it has finished; what came so far if it is dead."""
        parts = []
        with trio.move_on_after(PATIENCE_S):
            async for answer in self._heard:
                if not isinstance(answer, control.Part):
                    break
                parts.append(answer.data)
        return parts

    async def bury(self) -> None:
        """Find out how a worker died that has hung up, and let nobody wait for it any more."""
        with trio.move_on_after(1):
            await self._process.wait()
        status = self._process.returncode
        how = "hung up" if status is None else f"signal {-status}" if status < 0 else f"exit status {status}"
        names = f"{self.mine[0]} to {self.mine[-1]}, {len(self.mine)} nodes" if self.mine else "no nodes yet"
        self.dead = f"process {self.number} died ({how}; {names})"
        self._said.close()

    def kill(self) -> None:
        """End the process."""
        self._process.kill()

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await self._process.wait()
