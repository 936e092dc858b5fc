"""trio: runs on a Dask cluster: the same commands, started by its workers. Blocking.

Every worker needs swarmbed installed and the same file system: the run directories, and the files that a run names, are
shared. In real time a host should have one worker with one thread, for runs beside each other disturb each other.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netem.errors import ConfigError
from scenarios.jobs import Job, Outcome, command_of, environment, outcome_of
from scenarios.result import EXIT_VOID

if TYPE_CHECKING:
    from scenarios.campaign import Campaign, Runner

FIELD = "--scheduler"
ANSWER_S = 10


def on_cluster(address: str) -> Runner:
    """Return what runs a campaign on the cluster whose scheduler is at an address, such as `tcp://10.0.0.1:8786`.

    Raises:
        ConfigError: the extra `cluster` is not installed, or no scheduler answers.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise ConfigError(FIELD, address, "an address, once swarmbed[cluster] is installed") from None
    try:
        client = distributed.Client(address, timeout=ANSWER_S)
    except (OSError, ValueError, TypeError) as fault:
        raise ConfigError(FIELD, address, f"the address of a scheduler that answers ({fault})") from None

    def run(campaign: Campaign, tell: Callable[[Outcome], None]) -> bool:
        with client:
            return _run(distributed, client, campaign, tell=tell)

    return run


def _run(distributed: Any, client: Any, campaign: Campaign, *, tell: Callable[[Outcome], None]) -> bool:
    """Run a campaign; at Ctrl-C what has not begun is called off, and what is under way ends by itself, untold."""
    futures = client.map(run_job, list(campaign.jobs), pure=False, directory=str(Path.cwd()))
    jobs = dict(zip(futures, campaign.jobs, strict=True))
    try:
        for future in distributed.as_completed(futures):
            fault = future.exception()
            tell(future.result() if fault is None else _lost(jobs[future], fault))
    except KeyboardInterrupt:
        client.cancel(futures)
        return False
    return True


def _lost(job: Job, fault: BaseException) -> Outcome:
    """Return the outcome of a job that the cluster could not run, such as without swarmbed on its worker."""
    said = " ".join(f"{type(fault).__name__}: {fault}".split())
    return Outcome(job=job, status=EXIT_VOID, result=None, said=said, wall_s=0.0)


def run_job(job: Job, *, directory: str) -> Outcome:
    """Run a job in a process of its own, from a directory; called by a worker."""
    job = replace(job, out=Path(os.path.join(directory, job.out)))  # noqa: PTH118  # an absolute one stays
    began_s = time.monotonic()
    done = subprocess.run(  # noqa: S603  # our own command
        command_of(job), cwd=directory, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return outcome_of(job, returned=done.returncode, said=done.stderr, wall_s=time.monotonic() - began_s)
