"""The claims of many scenarios in one table, and the command that plays them."""

from __future__ import annotations

import json
from pathlib import Path

from scenarios.claims_table import overview_lines
from scenarios.jobs import Job, Outcome

MINE = '''"""Is {name} true?

Source: a test.
"""
import scenarios
from scenarios import Claim

class Params(scenarios.Params):
    nodes: scenarios.Nodes = 2

async def run(bed):
    await bed.start()

def claims(record):
    return [Claim(name="{name}", predicted=1, measured={measured}, tolerance=0, ok={measured} == 1, source="a test")]
'''


def claim(name, *, ok: bool | None = True):
    return {"name": name, "predicted": 1, "measured": int(bool(ok)), "tolerance": 0.5, "ok": ok}


def outcome(scenario, status, *claims, said=""):
    job = Job(name="1", scenario=scenario, seed=1, time="virtual", values={}, labels={}, content=None, out=Path("out"))
    return Outcome(job=job, status=status, result={"claims": list(claims)} if claims else None, said=said, wall_s=1.0)


def words(lines):
    return [" ".join(line.split()) for line in lines]


def test_what_all_scenarios_claim_is_told_once_for_each():
    lines = words(
        overview_lines(
            [
                outcome("one", 1, claim("bytes"), claim("odds", ok=False)),
                outcome("two", 0, claim("bytes"), claim("bids"), claim("gap", ok=None)),
            ]
        )
    )
    assert lines == [
        "scenario claim predicted measured tolerance verdict",
        "one odds 1 0 ± 0.5 FAILS",
        "common claims 1 1 exact claim failed",
        "two bids 1 1 ± 0.5 holds",
        "gap 1 0 ± 0.5 not judged",
        "common claims 1 1 exact all hold",
        "common claims: bytes",
        "2 scenarios, 5 claims: 3 hold, 1 fail, 1 not judged",
    ]


def test_a_scenario_without_a_result_has_its_row():
    lines = words(overview_lines([outcome("one", 3, said="killed by SIGKILL"), outcome("two", 0, claim("odds"))]))
    assert lines[1] == "one (no result) - - - void: killed by SIGKILL"
    assert lines[-1] == "2 scenarios, 1 claims: 1 hold, 0 fail, 0 not judged"


def test_the_scenarios_named_are_played_and_the_worst_status_is_returned(swarmbed, tmp_path):
    for name, measured in (("this", 1), ("that", 2)):
        (tmp_path / f"{name}.py").write_text(MINE.format(name=name, measured=measured), encoding="utf-8")
    outcome = swarmbed(
        "claims", "./this.py", "./that.py", "--out", tmp_path / "out", "--json", tmp_path / "j", "--quiet"
    )
    assert outcome.status == 1
    assert "./that.py that 1 2 exact FAILS" in words(outcome.out.splitlines())
    answer = json.loads((tmp_path / "j").read_text(encoding="utf-8"))
    assert [(run["scenario"], run["status"]) for run in answer["runs"]] == [("./this.py", 0), ("./that.py", 1)]


def test_an_unknown_scenario_is_refused_before_anything_is_played(swarmbed, tmp_path):
    outcome = swarmbed("claims", "steady", "nonsense", "--out", tmp_path / "out")
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: SCENARIO: 'nonsense' is not allowed")
    assert not (tmp_path / "out").exists()
