"""Whole runs, each in a process of its own, to which something terrible happens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenarios.trace_file import read_trace

ROOT = Path(__file__).parents[1]
STOPPED_S = 5.0


def events(directory, kind):
    """Return the times of a kind of event, in seconds, oldest first; a trace being written may end in mid-event."""
    return [time_ns / 1e9 for time_ns, (name, *_) in read_trace(directory / "events.msgpack") if name == kind]


@pytest.mark.slow
def test_a_run_that_is_stopped_for_five_seconds_goes_on_and_is_void_and_says_how_long(tmp_path):
    content, out = tmp_path / "content", tmp_path / "out"
    content.mkdir()
    for name in "abc":
        (content / name).write_bytes(name.encode() * 100_000)
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "scenarios", "run", "flash-crowd", "--nodes", "6", "--duration", "30", "--quiet"),
            *("--content", str(content), "--out", str(out)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        time.sleep(10)
        assert run.poll() is None
        run.send_signal(signal.SIGSTOP)
        stopped = time.time()
        time.sleep(STOPPED_S)
        run.send_signal(signal.SIGCONT)
        printed = run.stdout.read()
    assert run.returncode == 3
    result = json.loads((out / "result.json").read_text())
    fidelity = result["fidelity"]
    assert STOPPED_S * 0.95 < fidelity["lag_max_s"] < STOPPED_S * 1.2
    assert any("stood still for" in reason for reason in fidelity["reasons"])
    assert "VOID: the event loop" in printed
    # The peers coped: downloads went on to their end, nothing was lost for good and every fee was settled.
    assert all(result["invariants"].values())
    assert fidelity["missing"] == 0
    finished = events(out, "DownloadFinished")
    assert len([at for at in finished if at > stopped + STOPPED_S]) >= 2
    assert len(events(out, "DownloadSettled")) == len(events(out, "FeeHeld"))
