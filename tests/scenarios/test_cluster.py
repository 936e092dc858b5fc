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


def test_what_the_cluster_could_not_run_is_a_row_too(monkeypatch):
    class Broken:
        """A stand-in for `distributed` whose workers lack swarmbed; it also is its client and its futures."""

        def Client(self, _address, **_):  # noqa: N802  # distributed's name
            return self

        def map(self, _run, jobs, **_):
            return [Broken() for _ in jobs]

        def as_completed(self, futures):
            return reversed(futures)

        def exception(self):
            return ModuleNotFoundError("No module named 'scenarios'")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    jobs = [
        Job(name=name, scenario="x", seed=1, time="virtual", values={}, labels={}, content=None, out=Path(name))
        for name in "ab"
    ]
    campaign = Campaign(
        scenario=scenario_named("flash-crowd"), directory=Path(), time="virtual", jobs=jobs, workers=1, quiet=True
    )
    monkeypatch.setitem(sys.modules, "distributed", Broken())
    outcomes = []
    assert on_cluster("tcp://x:1")(campaign, outcomes.append)
    assert [(outcome.job.name, outcome.status) for outcome in outcomes] == [("b", 3), ("a", 3)]
    assert outcomes[0].said == "ModuleNotFoundError: No module named 'scenarios'"
