"""trio: runs in worker processes, several at once: `swarmbed run` as a command, its run directory as the answer.

A worker is a session of its own, so that Ctrl-C reaches it through us alone, once: it settles and writes its results.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import trio

from scenarios.result import EXIT_CLAIM, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, EXIT_VOID

_PACKAGES = Path(__file__).resolve().parents[1]
_LAST_WORDS_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: `values` are the parameters' own, as text; `labels` those by which it differs from the others."""

    name: str
    scenario: str
    seed: int
    time: str
    values: Mapping[str, str]
    labels: Mapping[str, str]
    content: Path | None
    procs: int | None = None
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: of DESIGN section 6; a worker that died, or failed without a result, leaves a void run.
        result: its result.json; None if it wrote none.
        said: why it is void, or without a result its last words on standard error.
    """

    job: Job
    status: int
    result: Mapping[str, Any] | None
    said: str
    wall_s: float


def command_of(job: Job) -> list[str]:
    """Return the command that runs a job; it takes no module from the present directory (-P), as `swarmbed` does not."""
    settings = [word for key, value in job.values.items() for word in ("--set", f"{key}={value}")]
    content = [] if job.content is None else ["--content", str(job.content)]
    given = ["--seed", str(job.seed), "--time", job.time, "--out", str(job.out), "--quiet", *content, *settings]
    procs = [] if job.procs is None else ["--procs", str(job.procs)]
    return [sys.executable, "-P", "-m", "scenarios", "run", job.scenario, *procs, *given]


def environment() -> dict[str, str]:
    """Return a worker's environment: the same packages as here."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(_PACKAGES), *filter(None, [os.getenv("PYTHONPATH")])])}


def outcome_of(job: Job, *, returned: int, said: bytes, wall_s: float) -> Outcome:
    """Read how a job ended from its return code and its run directory."""
    words = _last_words(said.decode(errors="replace"))
    path = job.out / "result.json"
    if returned in {EXIT_OK, EXIT_CLAIM, EXIT_VOID, EXIT_INTERRUPTED} and path.is_file():
        result = json.loads(path.read_text(encoding="utf-8"))
        words = "; ".join(result.get("fidelity", {}).get("reasons", []))
        return Outcome(job=job, status=returned, result=result, said=words, wall_s=wall_s)
    if returned < 0:
        words = f"killed by {signal.Signals(-returned).name}"
    if (
        returned == -signal.SIGINT or words == "KeyboardInterrupt"
    ):  # before it had begun to listen; Python itself ends with 1
        returned = EXIT_INTERRUPTED
    status = returned if returned in {EXIT_USAGE, EXIT_INTERRUPTED} else EXIT_VOID
    return Outcome(job=job, status=status, result=None, said=words or f"ended with {returned}", wall_s=wall_s)


def _last_words(said: str) -> str:
    """Return the last line with a word in it, without the frame that a traceback of a group has."""
    lines = (line.strip(" |+-") for line in reversed(said.splitlines()))
    return next((line for line in lines if line), "").removeprefix("swarmbed: ")


def at_once(time_: str) -> int:
    """Return how many runs may go on at once: one per core in virtual time; one in real time, for they disturb each other."""
    return len(os.sched_getaffinity(0)) if time_ == "virtual" else 1


def run_jobs(jobs: Sequence[Job], *, workers: int, tell: Callable[[Outcome], None]) -> bool:
    """Run jobs in processes of their own; `tell` is called as each ends. Return whether all were run.

    At the first Ctrl-C (or SIGTERM) no more are started, and those under way settle and write their results; further ones are
    passed on, and end them sooner.
    """
    pool = _Pool(jobs, tell)
    trio.run(pool.run, workers)
    return not pool.interrupted


class _Pool:
    """Workers that take jobs from one line."""

    def __init__(self, jobs: Sequence[Job], tell: Callable[[Outcome], None]) -> None:
        self._line: Iterator[Job] = iter(jobs)
        self._tell = tell
        self._running: dict[str, trio.Process] = {}
        self.interrupted = False

    async def run(self, workers: int) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._listen)
            async with trio.open_nursery() as crew:
                for _ in range(workers):
                    crew.start_soon(self._work)
            nursery.cancel_scope.cancel()

    async def _work(self) -> None:
        for job in self._line:
            if self.interrupted:
                return
            self._tell(await self._run(job))

    async def _run(self, job: Job) -> Outcome:
        began_s = time.monotonic()
        process = await trio.lowlevel.open_process(
            command_of(job), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=environment(), start_new_session=True
        )
        assert process.stderr is not None
        self._running[job.name] = process
        if self.interrupted:  # while it was being started
            process.send_signal(signal.SIGINT)
        said = b""
        try:
            async for words in process.stderr:
                said = (said + words)[-_LAST_WORDS_BYTES:]
            returned = await process.wait()
        finally:
            del self._running[job.name]
            if process.returncode is None:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
        return outcome_of(job, returned=returned, said=said, wall_s=time.monotonic() - began_s)

    async def _listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                self.interrupted = True
                for name in sorted(self._running):
                    self._running[name].send_signal(signal.SIGINT)
