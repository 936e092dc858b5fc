"""trio: a run beside processes that take the processors away is void, and the same run without them is not.

Two hogs at least, one on each processor that the run may use, busy without a pause. The run is nicer than they are by ten:
any user may do that, while only root may raise a hog's priority, and to the scheduler it is the same.
"""

import contextlib
import json
import os
import subprocess
import sys

import pytest

NICER = 10
COMMAND = ("run", "flash-crowd", "--time", "real", "--nodes", "20", "--duration", "6")
HOG = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"
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


def test_the_same_run_alone_is_valid(tmp_path):
    load = os.getloadavg()[0]
    if load > len(os.sched_getaffinity(0)) / 2:
        pytest.skip(f"this host is not idle: load average {load:.1f}")
    ended, fidelity = run(tmp_path / "alone")
    assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
    assert fidelity["valid"], fidelity["reasons"]
