"""trio: runs whose nodes are spread over worker processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from scenarios.trace_file import read_trace

LATE = ("lagged", "late", "delay")
DELIVERED = 'swarmbed_netem_datagrams_total{fate="delivered"}'
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
    give_up_s = time.monotonic() + 90
    while not true():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def served_by(process):
    """Return the address of a run that is served."""
    while not (found := re.search(r"live page at (http://[\d.:]+)", process.stdout.readline())):
        pass
    return found[1]


def scraped(address):
    """Return the values of a scrape, by series; none while nobody answers, as for a moment at the end of a run."""
    try:
        with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, http.client.HTTPException):
        return {}
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


@pytest.fixture(scope="module")
def spread(start_swarmbed, tmp_path_factory, content):
    """Return a run over processes that has ended: its directory, its result, its last scrape, and what it complained of."""
    out = tmp_path_factory.mktemp("spread") / "out"
    lossy = ("--duration=4", f"--content={content}", f"--out={out}", "--set=loss=0.05", "--serve=0", "--hold")
    with start_swarmbed(*SPREAD, *lossy, "--set=load=0.9", "--set=upload_bytes_per_s=200000") as process:
        try:
            address = served_by(process)
            wait_until((out / "result.json").is_file)
            wait_until(lambda: scraped(address).get("swarmbed_netem_in_flight_datagrams") == 0)
            last = scraped(address)
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return SimpleNamespace(out=out, result=result, last=last, complaints=complaints)


def test_a_spread_run_has_one_result(spread):
    result = spread.result
    assert spread.complaints == ""
    # Whether a busy host kept up is not the question here; that every packet is accounted for is.
    assert [reason for reason in result["fidelity"]["reasons"] if not any(word in reason for word in LATE)] == []
    assert result["fidelity"]["missing"] == 0
    assert all(result["invariants"].values())
    assert result["counts"]["downloads_finished"] > 0
    assert {claim["name"]: claim["ok"] for claim in result["claims"]}["payouts against pieces, gap (µcr)"]
    events = list(read_trace(spread.out / "events.msgpack"))
    assert [time_ns for time_ns, _ in events] == sorted(time_ns for time_ns, _ in events)  # those of the workers too
    assert len([event for _, event in events if event[0] == "NodeJoined"]) == 6


def test_the_last_counters_of_a_spread_run_are_those_of_its_result(spread):
    last = spread.last
    fates = {
        name.removeprefix("datagrams_"): n
        for name, n in spread.result["counts"].items()
        if name.startswith("datagrams_")
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


@pytest.mark.slow
def test_the_death_of_a_worker_voids_the_run_at_once(start_swarmbed, tmp_path, content):
    out = tmp_path / "out"
    with start_swarmbed(*SPREAD, "--duration", "600", "--content", content, "--out", out) as process:
        try:
            wait_until(lambda: any(path.is_file() for path in (out / "stores").rglob("*")))
            os.kill(workers_of(process)[0], signal.SIGKILL)
            told, complaints = process.communicate(timeout=60)  # far sooner than it was to last
        finally:
            process.kill()
    assert process.returncode == 3
    assert "died (signal 9; node-" in complaints
    assert "VOID: process " in told
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert not result["fidelity"]["valid"]
    assert all(claim["ok"] is None for claim in result["claims"])
    assert all(result["invariants"].values())


@pytest.mark.slow
def test_a_spread_run_that_goes_on_has_the_counters_of_all_processes_and_an_interrupt_settles_it_and_leaves_none(
    start_swarmbed, tmp_path, content
):
    out = tmp_path / "out"
    with start_swarmbed(*SPREAD, "--duration=600", f"--content={content}", f"--out={out}", "--serve=0") as process:
        try:
            address = served_by(process)
            # Six nodes, each of which exchanges datagrams with the tracker and, in another process, with others.
            wait_until(lambda: scraped(address).get("swarmbed_netem_links", 0) > 2 * 6)
            before = scraped(address)
            wait_until(lambda: scraped(address).get(DELIVERED, 0) > before[DELIVERED])
            workers = workers_of(process)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        finally:
            process.kill()
    assert before["swarmbed_netem_delay_seconds_total"] > 0
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
