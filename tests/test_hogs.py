"""trio: a run beside processes that take the processors away is void, and the same run without them is not.

Two hogs at least, one on each processor that the run may use, busy without a pause. The run is nicer than they are by ten:
any user may do that, while only root may raise a hog's priority, and to the scheduler it is the same.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

NICER = 10
COMMAND = ("run", "flash-crowd", "--time", "real", "--nodes", "20", "--duration", "6")
HOG = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"
MOST_BUSY = 0.1  # of a processor, by others than the run
LATE = ("the event loop lagged", "the event loop stood still", "departures late")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to processors by a call of Linux"),
]


@contextlib.contextmanager
def hogs():
    cores = sorted(os.sched_getaffinity(0))
    busy = [
        subprocess.Popen([sys.executable, "-c", HOG, str(cores[n % len(cores)])], stdout=subprocess.PIPE)
        for n in range(max(2, len(cores)))
    ]
    try:
        for one in busy:
            one.stdout.readline()
        yield
    finally:
        for one in busy:
            one.kill()
            one.wait()
            one.stdout.close()


def run(out):
    command = ["nice", "-n", str(NICER), sys.executable, "-m", "scenarios", *COMMAND, "--out", str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    return ended, json.loads((out / "result.json").read_text())["fidelity"]


def test_two_busy_processes_beside_a_run_make_it_void(tmp_path):
    with hogs():
        ended, fidelity = run(tmp_path / "beside")
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert not fidelity["valid"]
    assert any(reason.startswith(LATE) for reason in fidelity["reasons"]), fidelity["reasons"]
    assert fidelity["missing"] == 0


def cpu_s_of_others():
    """Return the CPU seconds that this host has spent so far, and other guests of its machine, but not on our children."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = ticks[3:5]
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK") - ours.ru_utime - ours.ru_stime


def test_the_same_run_alone_is_valid(tmp_path):
    told = []
    for attempt in range(3):  # a host that is idle but for a moment is enough
        before_s, began_s = cpu_s_of_others(), time.monotonic()
        ended, fidelity = run(tmp_path / str(attempt))
        busy = (cpu_s_of_others() - before_s) / (time.monotonic() - began_s)
        told.append((busy, fidelity["reasons"]))
        if fidelity["valid"]:
            break
    if not fidelity["valid"] and all(busy > MOST_BUSY for busy, _ in told):
        pytest.skip(
            f"this host is not idle; by attempt, how many of its processors others used, and what that did: {told}"
        )
    assert fidelity["valid"], told
    assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
