"""trio: runs with `--capture`: the same run as without, and all of its packets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from scenarios.catalogue import scenario_named
from scenarios.jobs import environment
from scenarios.options import Options
from scenarios.run_directory import new_run_directory
from scenarios.runner import run_scenario

LOSSY = {"loss": 0.1, "nodes": 3, "duration_s": 2.0, "appear_s": 0.5}


def run(out, *, small, content, **how):
    options = Options(seed=1, content=content, out=out, quiet=True, capture=True, **{"time": "virtual", **how})
    return run_scenario(scenario_named("flash-crowd"), {**small, **LOSSY}, options)


def counted(result):
    """Return delivered and the drops by cause, as the result counts them."""
    prefix = "datagrams_"
    names = {name.removeprefix(prefix): n for name, n in result.counts.items() if name.startswith(prefix) and n}
    return {name: n for name, n in names.items() if name not in {"sent", "copies"}}


def in_capture(seen):
    """Return the same from a capture."""
    words = (re.match(r"(delivered|in flight)|dropped \((\w+)\)", packet.comment) for packet in seen)
    return Counter((word[1] or word[2]).replace(" ", "_") for word in words if word is not None)


@pytest.mark.slow
def test_a_captured_run_has_the_digest_of_the_run_without_and_two_captures_are_equal(tmp_path, small, content):
    first = run(tmp_path / "1", small=small, content=content)
    second = run(tmp_path / "2", small=small, content=content)
    options = Options(seed=1, time="virtual", content=content, out=tmp_path / "3", quiet=True)
    without = run_scenario(scenario_named("flash-crowd"), {**small, **LOSSY}, options)
    assert first.digest == second.digest == without.digest
    assert (tmp_path / "1/capture.pcapng").read_bytes() == (tmp_path / "2/capture.pcapng").read_bytes()
    assert not (tmp_path / "3/capture.pcapng").exists()


def test_the_capture_of_a_run_holds_the_packets_that_its_result_counts(tmp_path, small, content, read_capture):
    result = run(tmp_path / "out", small=small, content=content)
    seen = read_capture(tmp_path / "out/capture.pcapng")
    assert in_capture(seen) == counted(result)
    assert counted(result)["loss"] > 0
    assert any(packet.comment.startswith("stream data") for packet in seen)


@pytest.mark.slow
def test_processes_leave_one_capture_in_the_order_of_time(tmp_path, small, content, read_capture):
    result = run(tmp_path / "out", small=small, content=content, time="real", procs=3)
    seen = read_capture(tmp_path / "out/capture.pcapng")
    assert in_capture(seen) == counted(result)
    assert [packet.time_ns for packet in seen] == sorted(packet.time_ns for packet in seen)
    assert {packet.fields["ip.src_host"] for packet in seen} == {"tracker", "node-0", "node-1", "node-2"}
    assert [path.name for path in (tmp_path / "out").glob("capture*")] == ["capture.pcapng"]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("capture.pcapng", {}),
        pytest.param("capture.node-1.part", {"time": "real", "procs": 2}, marks=pytest.mark.slow),
    ],
)
def test_a_capture_that_cannot_be_written_makes_the_run_void_and_says_so(tmp_path, request, monkeypatch, *, name, how):
    small, content = request.getfixturevalue("small"), request.getfixturevalue("content")

    def directory_with_a_full_disk_in_it(*args, **kwargs):
        directory = new_run_directory(*args, **kwargs)
        (directory / name).symlink_to("/dev/full")
        return directory

    monkeypatch.setattr("scenarios.runner.new_run_directory", directory_with_a_full_disk_in_it)
    result = run(tmp_path / "out", small=small, content=content, **how)
    assert result.status == 3
    reasons = " ".join(result.certificate.reasons)
    assert re.search(rf"cannot write .*{re.escape(name)}: No space left on device", reasons)
    assert json.loads((tmp_path / "out/result.json").read_text())["status"] == 3


def test_several_runs_at_once_are_not_captured(swarmbed):
    outcome = swarmbed("run", "flash-crowd", "--capture", "--replicates", 2)
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: --capture: ")


@pytest.mark.slow
def test_no_capability_is_needed_to_run_over_real_sockets_and_capture(small, tmp_path):
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv, which takes all capabilities away, is not installed (util-linux)")
    settings = [f"--set={key}={value}" for key, value in {**small, **LOSSY}.items()]
    run = [sys.executable, "-m", "scenarios", "run", "flash-crowd", "--capture", "--quiet", "--out=out", *settings]
    bare = [setpriv, "--inh-caps=-all"] + ["--bounding-set=-all"] * (os.getuid() == 0)
    program = [*bare, "sh", "-c", 'grep CapEff /proc/self/status && exec "$@"', "sh", *run]
    done = subprocess.run(program, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert re.match(r"CapEff:\s+0{16}\n", done.stdout), done.stderr
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert done.returncode == result["status"]
    assert result["counts"]["datagrams_loss"] > 0
    assert (tmp_path / "out/capture.pcapng").stat().st_size > 10_000
