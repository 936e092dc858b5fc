"""trio: runs whose nodes are spread over worker processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

from scenarios.trace_file import read_trace

LATE = ("lagged", "late", "delay")
SPREAD = ("run", "flash-crowd", "--procs", "2", "--nodes", "6", "--quiet", "--set", "appear_s=1")


def workers_of(process):
    """Return the process ids of a run's workers."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end while we look
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                found += [int(entry.name)] if parent == process.pid else []
    return found


def wait_until(true):
    give_up_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def test_a_spread_run_has_one_result(start_swarmbed, tmp_path, content):
    out = tmp_path / "out"
    with start_swarmbed(*SPREAD, "--duration", "4", "--content", content, "--out", out) as process:
        told, complaints = process.communicate(timeout=60)
    assert complaints == ""
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    # Whether a busy host kept up is not the question here; that every packet is accounted for is.
    assert [reason for reason in result["fidelity"]["reasons"] if not any(word in reason for word in LATE)] == [], told
    assert result["fidelity"]["missing"] == 0
    assert all(result["invariants"].values())
    assert result["counts"]["downloads_finished"] > 0
    assert {claim["name"]: claim["ok"] for claim in result["claims"]}["payouts against pieces, gap (µcr)"]
    times_ns = [time_ns for time_ns, _ in read_trace(out / "events.msgpack")]
    assert times_ns == sorted(times_ns)  # those of the workers too
    joined = [event for _, event in read_trace(out / "events.msgpack") if event[0] == "NodeJoined"]
    assert len(joined) == 6


def test_the_death_of_a_worker_voids_the_run_at_once(start_swarmbed, tmp_path, content):
    out = tmp_path / "out"
    with start_swarmbed(*SPREAD, "--duration", "600", "--content", content, "--out", out) as process:
        try:
            wait_until(lambda: any(path.is_file() for path in (out / "stores").rglob("*")))
            os.kill(workers_of(process)[0], signal.SIGKILL)
            killed_s = time.monotonic()
            told, complaints = process.communicate(timeout=30)
        finally:
            process.kill()
    assert time.monotonic() - killed_s < 10
    assert process.returncode == 3
    assert "died (signal 9; node-" in complaints
    assert "VOID: process " in told
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert not result["fidelity"]["valid"]
    assert all(claim["ok"] is None for claim in result["claims"])
    assert all(result["invariants"].values())


def test_an_interrupt_settles_a_spread_run_and_leaves_no_process(start_swarmbed, tmp_path, content):
    out = tmp_path / "out"
    with start_swarmbed(*SPREAD, "--duration", "600", "--content", content, "--out", out) as process:
        try:
            wait_until(lambda: any(path.is_file() for path in (out / "stores").rglob("*")))
            workers = workers_of(process)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        finally:
            process.kill()
    assert len(workers) == 2
    assert process.returncode == 130
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["fidelity"]["missing"] == 0
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--procs", "0"], "a whole number from 1 to 6"),
        (["--procs", "7"], "a whole number from 1 to 6"),
        (["--procs", "two"], "a whole number"),
        (["--procs", "2", "--time", "virtual"], "1 with --time virtual"),
    ],
)
def test_processes_that_make_no_sense_are_refused(swarmbed, arguments, allowed):
    outcome = swarmbed("run", "flash-crowd", "--nodes", "6", "--quiet", *arguments)
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: --procs: ")
    assert allowed in outcome.err
