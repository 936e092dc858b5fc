"""Sweeps on a Dask cluster: the same rows as here, and a clear line when there is no cluster."""

from __future__ import annotations

import contextlib
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netem.errors import ConfigError
from scenarios.campaign import Campaign
from scenarios.catalogue import scenario_named
from scenarios.cluster import on_cluster
from scenarios.jobs import Job, environment


def test_without_the_extra_the_line_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"--scheduler: 'tcp://x:1'.*swarmbed\[cluster\]"):
        on_cluster("tcp://x:1")


@pytest.fixture
def scheduler(tmp_path):
    """Return the address of a cluster with one worker, in processes of their own."""
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    where = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(where), "--no-dashboard"]
    roles = {"scheduler": ["--port", "0"], "worker": ["--no-nanny", "--nthreads", "1"]}
    with contextlib.ExitStack() as stack:
        for role, more in roles.items():
            command = [sys.executable, "-m", f"distributed.cli.dask_{role}", *common, *more]
            process = stack.enter_context(
                subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment())
            )
            stack.callback(process.terminate)
        give_up_s = time.monotonic() + 60
        while not where.exists() or not where.read_text(encoding="utf-8"):
            assert time.monotonic() < give_up_s
            time.sleep(0.1)
        yield json.loads(where.read_text(encoding="utf-8"))["address"]


@pytest.mark.slow
def test_a_cluster_runs_a_sweep(start_swarmbed, scheduler, content, tmp_path):
    given = ("--over", "nodes=2,3", "--time", "virtual", "--duration", 1, "--content", content, "--out", tmp_path / "o")
    with start_swarmbed("sweep", "flash-crowd", *given, "--scheduler", scheduler) as process:
        told, _ = process.communicate(timeout=120)
    with (tmp_path / "o" / "sweep.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert process.returncode in {0, 1}  # a second may be too little for a claim, never a void run
    assert "runs        2 of 2: " in told
    assert [row["nodes"] for row in rows] == ["2", "3"]
    assert all(row["digest"] for row in rows)


@pytest.fixture
def broken_cluster(monkeypatch):
    """Put a stand-in in the place of `distributed`: no job of its workers ends well, and `fault` says how."""

    class Broken:
        """The module; it also is its client and its futures."""

        fault: BaseException
        cancelled = 0

        def Client(self, _address, **_):  # noqa: N802  # distributed's name
            return self

        def map(self, _run, jobs, **_):
            return [Broken() for _ in jobs]

        def as_completed(self, futures):
            return reversed(futures)

        def cancel(self, futures):
            Broken.cancelled += len(futures)

        def exception(self):
            if isinstance(Broken.fault, KeyboardInterrupt):
                raise Broken.fault
            return Broken.fault

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setitem(sys.modules, "distributed", Broken())
    return Broken


@pytest.fixture
def campaign():
    """Return a campaign of two jobs."""
    jobs = [
        Job(name=name, scenario="x", seed=1, time="virtual", values={}, labels={}, content=None, out=Path(name))
        for name in "ab"
    ]
    scenario = scenario_named("flash-crowd")
    return Campaign(scenario=scenario, directory=Path(), time="virtual", jobs=jobs, workers=1, quiet=True)


def test_what_the_cluster_could_not_run_is_a_row_too(broken_cluster, campaign):
    broken_cluster.fault = ModuleNotFoundError("No module named 'scenarios'")
    outcomes = []
    assert on_cluster("tcp://x:1")(campaign, outcomes.append)
    assert [(outcome.job.name, outcome.status) for outcome in outcomes] == [("b", 3), ("a", 3)]
    assert outcomes[0].said == "ModuleNotFoundError: No module named 'scenarios'"


def test_an_interrupt_calls_off_what_has_not_ended(broken_cluster, campaign):
    broken_cluster.fault = KeyboardInterrupt()
    assert not on_cluster("tcp://x:1")(campaign, lambda _: None)
    assert broken_cluster.cancelled == 2
