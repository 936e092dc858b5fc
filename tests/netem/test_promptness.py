"""The kernel takes the short slice, and everything else about the process stays as it was."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from netem.promptness import ask_for_short_slices

SCHED = Path("/proc/self/sched")
PROGRAM = """
import os
from pathlib import Path
from netem.promptness import ask_for_short_slices
os.nice(3)
took = ask_for_short_slices()
print(took, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), Path("/proc/self/sched").read_text())
"""


@pytest.mark.skipif(
    not SCHED.exists() or "se.slice" not in SCHED.read_text(), reason="only Linux from 6.12 on has slices to ask for"
)
def test_the_slice_is_short_and_nothing_else_changes():
    # In a process of its own: the request cannot be taken back.
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    took, nice, policy, sched = done.stdout.split(" ", 3)
    assert (took, int(nice), int(policy)) == ("True", 3, 0)
    (slice_ns,) = re.findall(r"se\.slice\s*:\s*(\d+)", sched)
    assert int(slice_ns) == 100_000


def test_a_machine_with_unknown_system_calls_is_left_alone(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "z80")
    assert ask_for_short_slices() is False
