"""Many runs at once: replicates and sweeps in worker processes, their tables and files, and Ctrl-C."""

from __future__ import annotations

import csv
import json
import re
import signal
import time

import pytest

SCENARIO = '''"""Does every node get the file?

Source: a test.
"""
import os
from typing import Annotated
import scenarios
from scenarios import Claim, param

class Params(scenarios.Params):
    nodes: scenarios.Nodes = 2
    upload_bytes_per_s: scenarios.Upload = 1e6
    trouble: Annotated[str, param("what goes wrong: nothing, claim, crash, kill")] = "nothing"
    rest_s: Annotated[float, param("how long to wait at the end", ge=0)] = 0.0

async def run(bed):
    await bed.start()
    if bed.params.trouble == "crash":
        raise ZeroDivisionError("by intent")
    if bed.params.trouble == "kill":
        os.kill(os.getpid(), 9)
    index = await bed.peers[0].publish(bed.content[0].name, bed.content[0].path)
    await bed.fetch_all(index)
    with bed.lasting(bed.params.rest_s):
        while True:
            await bed.peers[0].balance()

def claims(record):
    n = len(record.times_s(scenarios.DownloadFinished))
    due = record.params.nodes - 1 + (record.params.trouble == "claim")
    return [Claim(name="copies", predicted=due, measured=n, tolerance=0, ok=n == due, source="a test")]
'''

TROUBLES = ("nothing", "claim", "crash", "kill")


@pytest.fixture
def tiny(tmp_path):
    """Return the words of the command that run a tiny scenario in virtual time."""
    (tmp_path / "mine.py").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "tiny").mkdir()
    for name in ("a", "b"):
        (tmp_path / "tiny" / name).write_bytes(name.encode() * 5_000)
    return ("--time", "virtual", "--content", tmp_path / "tiny", "--out", tmp_path / "out", "--json", tmp_path / "j")


@pytest.mark.slow
def test_replicates_run_consecutive_seeds_as_each_would_run_alone_and_give_means(swarmbed, tiny, tmp_path):
    outcome = swarmbed("run", "./mine.py", "--seed", 5, "--replicates", 3, "--set", "nodes=3", *tiny)
    assert outcome.status == 0
    assert outcome.out.startswith("seeds 5..7, ")
    assert "copies 2 2 2 .. 2 3 of 3" in [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert "runs        3 of 3: all hold 3\n" in outcome.out
    assert len(outcome.err.splitlines()) == 3
    answer = json.loads((tmp_path / "j").read_text(encoding="utf-8"))
    assert (tmp_path / "out" / "replicates.json").read_bytes() == (tmp_path / "j").read_bytes()
    assert [run["seed"] for run in answer["runs"]] == answer["seeds"] == [5, 6, 7]
    (claim,) = answer["claims"]
    assert claim == {"name": "copies", "predicted": 2.0, "mean": 2.0, "low": 2.0, "high": 2.0, "held": 3, "judged": 3}
    assert len({run["digest"] for run in answer["runs"]}) == 3
    alone = [tmp_path / "alone" if word == tmp_path / "out" else word for word in tiny]
    swarmbed("run", "./mine.py", "--seed", 6, "--set", "nodes=3", "--quiet", *alone)
    assert json.loads((tmp_path / "j").read_text(encoding="utf-8"))["digest"] == answer["runs"][1]["digest"]


def test_a_sweep_makes_a_row_of_every_run_also_of_those_that_fail(swarmbed, tiny, tmp_path):
    sweep = ("sweep", "./mine.py", "--over", f"trouble={','.join(TROUBLES)}", "--over", "nodes=3", "--quiet")
    outcome = swarmbed(*sweep, *tiny)
    assert (outcome.status, outcome.err) == (3, "")
    with (tmp_path / "out" / "sweep.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    held, failed, crashed, killed = rows
    assert [(row["trouble"], row["nodes"]) for row in rows] == [(word, "3") for word in TROUBLES]
    assert [row["verdict"] for row in rows] == ["all hold", "claim failed", "void", "void"]
    assert (held["copies: predicted"], held["copies: measured"], held["copies: ok"]) == ("2", "2", "True")
    assert (held["fidelity_valid"], held["downloads_finished"]) == ("True", "2")
    assert (failed["copies: predicted"], failed["copies: measured"], failed["copies: ok"]) == ("3", "2", "False")
    assert (crashed["copies: measured"], crashed["loss"]) == ("", "0.05")
    assert re.fullmatch(r"the run broke off: .*mine\.py:\d+: ZeroDivisionError: by intent", crashed["said"])
    assert killed["said"] == "killed by SIGKILL"
    assert "runs        4 of 4: all hold 1, claim failed 1, void 2\n" in outcome.out
    answer = json.loads((tmp_path / "j").read_text(encoding="utf-8"))
    assert answer["over"] == {"trouble": list(TROUBLES), "nodes": ["3"]}
    assert len(answer["rows"]) == 4


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["run", "./mine.py", "--replicates", "0"], "--replicates"),
        (["run", "./mine.py", "--replicates", "many"], "--replicates"),
        (["run", "./mine.py", "--replicates", "2", "--set", "loss=7"], "loss"),
        (["run", "./mine.py", "--replicates", "2", "--content", "missing"], "--content"),
        (["sweep", "./mine.py"], "--over"),
        (["sweep", "./mine.py", "--over", "loss"], "--over"),
        (["sweep", "./mine.py", "--over", "lossy=1"], "lossy"),
        (["sweep", "./mine.py", "--over", "loss=0,7"], "loss"),
        (["sweep", "./mine.py", "--over", "delay_s=0.1,0.001"], "jitter_s"),
        (["sweep", "./mine.py", "--over", "nodes=2,3", "--nodes", "4"], "--over"),
        (["sweep", "./mine.py", "--over", "loss=0,0.1", "--seeds", "2..1"], "--seeds"),
        (["sweep", "./mine.py", "--over", "loss=0,0.1", "--time", "never"], "--time"),
        (["sweep", "./none.py", "--over", "loss=0,0.1"], "SCENARIO"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else None,
)
def test_a_mistake_is_refused_before_anything_starts(swarmbed, tiny, tmp_path, *, arguments, field):
    before = sorted(tmp_path.rglob("*"))
    outcome = swarmbed(*arguments)
    (line,) = outcome.err.splitlines()
    assert (outcome.status, line.split(":")[:2]) == (2, ["swarmbed", f" {field}"])
    assert sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts) == before


@pytest.mark.slow
def test_interrupted_replicates_settle_and_are_printed(start_swarmbed, tiny, tmp_path):
    given = ("--replicates", 3, "--set", "rest_s=1e9", "--set", "duration_s=1", "--quiet")
    with start_swarmbed("run", tmp_path / "mine.py", *given, *tiny) as process:
        try:
            give_up_s = time.monotonic() + 90
            while not list((tmp_path / "out").glob("*/stores/*/*")):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < give_up_s
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            told, complaints = process.communicate(timeout=90)
        finally:
            process.kill()
    assert (process.returncode, complaints) == (130, "")
    assert "interrupted: the results cover what was done until then" in told
    answer = json.loads((tmp_path / "out" / "replicates.json").read_text(encoding="utf-8"))
    assert answer["interrupted"]
    assert answer["claims"] == []  # half a run is in no mean
    assert {run["status"] for run in answer["runs"]} == {130}
    assert any(run.get("invariants") and all(run["invariants"].values()) for run in answer["runs"])
    assert not list((tmp_path / "out").glob("*/stores"))  # every run under way has ended
