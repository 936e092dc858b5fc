"""trio: runs whose nodes are spread over worker processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
import urllib.request
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


def served_by(process):
    """Return the address of a run that is served."""
    while not (found := re.search(r"live page at (http://[\d.:]+)", process.stdout.readline())):
        pass
    return found[1]


def scraped(address):
    """Return the values of a scrape, by series."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


@contextlib.contextmanager
def served_spread_run(start_swarmbed, *settings):
    run = [setting for setting in SPREAD if setting != "--quiet"]
    with start_swarmbed(*run, "--serve=0", *settings) as process:
        try:
            yield process, served_by(process)
        finally:
            process.kill()


def test_the_last_counters_of_a_spread_run_are_those_of_its_result(start_swarmbed, tmp_path, content):
    out = tmp_path / "out"
    lossy = ("--duration=4", f"--content={content}", f"--out={out}", "--set=loss=0.05", "--hold")
    busy = ("--set=load=0.9", "--set=upload_bytes_per_s=200000")
    with served_spread_run(start_swarmbed, *lossy, *busy) as (_, address):
        wait_until((out / "result.json").is_file)
        wait_until(lambda: scraped(address).get("swarmbed_netem_in_flight_datagrams") == 0)
        last = scraped(address)
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    fates = {
        name.removeprefix("datagrams_"): n for name, n in result["counts"].items() if name.startswith("datagrams_")
    }
    assert fates["delivered"] > 200
    assert last["swarmbed_netem_sent_datagrams_total"] == fates.pop("sent")
    assert last["swarmbed_netem_copied_datagrams_total"] == fates.pop("copies")
    assert last["swarmbed_netem_in_flight_datagrams"] == fates.pop("in_flight")
    assert {name: last[f'swarmbed_netem_datagrams_total{{fate="{name}"}}'] for name in fates} == fates
    # Each process counts losses of its own links' senders, and arrivals of others'; the sums alone meet.
    lost, predicted = (last[f"swarmbed_netem_lost_datagrams{name}_total"] for name in ("", "_predicted"))
    exposed = last["swarmbed_netem_exposed_datagrams_total"]
    assert predicted == pytest.approx(0.05 * exposed)
    assert fates["loss"] <= lost <= exposed
    assert last["swarmbed_event_loop_lag_seconds_count"] > 2 * 100 * 4  # 100 a second in each of three processes


def test_while_a_spread_run_goes_on_its_counters_are_those_of_all_processes(start_swarmbed, tmp_path, content):
    settings = ("--duration=600", f"--content={content}", f"--out={tmp_path / 'out'}")
    with served_spread_run(start_swarmbed, *settings) as (_, address):
        # Six nodes, each of which exchanges datagrams with the tracker and, in another process, with others.
        wait_until(lambda: scraped(address).get("swarmbed_netem_links", 0) > 2 * 6)
        delivered = 'swarmbed_netem_datagrams_total{fate="delivered"}'
        before = scraped(address)
        wait_until(lambda: scraped(address)[delivered] > before[delivered])
        assert before["swarmbed_netem_delay_seconds_total"] > 0
