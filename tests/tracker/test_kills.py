"""A bank that is killed by SIGKILL before or after any statement or commit keeps all it acknowledged, and can go on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLER = Path(__file__).with_name("kill_bank.py")
ROOT = KILLER.parents[2]


def kill_at_every(stride):
    """Kill at every `stride`-th point, in a process of its own: pytest's has threads, which a fork does not survive."""
    done = subprocess.run(
        [sys.executable, str(KILLER), str(stride)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 41])
def test_whenever_a_bank_is_killed_the_invariants_hold_nothing_acknowledged_is_lost_and_its_clients_finish(stride):
    seen = kill_at_every(stride)
    assert seen["faults"] == []
    assert seen["points"] > 400  # some 200 transactions, and the begin, the update and the commit of each batch
    assert seen["killed"] == -(-seen["points"] // stride)
    assert seen["acknowledged"][0] == 0
    assert seen["acknowledged"][1] > 150
