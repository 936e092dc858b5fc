"""The code that README shows: a test runs exactly that text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def code_below(heading):
    """Return the first Python block below a heading."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)


@pytest.fixture
def mine(swarmbed, tmp_path):
    """Return a function that plays README's scenario, `mine.py`, in virtual time."""
    (tmp_path / "mine.py").write_text(code_below("Your own scenario"), encoding="utf-8")
    return lambda *more: swarmbed("run", "./mine.py", "--time", "virtual", "--quiet", "--out", "out", *more)


def test_the_scenario_has_30_lines_and_its_claims_hold(mine):
    assert len(code_below("Your own scenario").splitlines()) == 30
    outcome = mine()
    assert (outcome.status, outcome.err) == (0, "")


def test_its_claim_fails_when_the_links_are_the_bottleneck(mine, tmp_path):
    assert mine("--set", "rate_bytes_per_s=40000").status == 1
    claims = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["claims"]
    assert [claim["name"] for claim in claims if not claim["ok"]] == ["all have it (s)"]


def test_the_policy_has_at_most_15_lines_and_splits_every_servers_upload(swarmbed, tmp_path, content, small):
    text = code_below("Your own bandwidth policy")
    assert len(text.splitlines()) <= 15
    (tmp_path / "steadfast.py").write_text(text, encoding="utf-8")
    settings = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]

    def digest(out, *more):
        given = ["--time", "virtual", "--quiet", "--content", content, "--out", out, *settings, *more]
        outcome = swarmbed("run", "flash-crowd", *given)
        assert outcome.status in {0, 1}  # few nodes and little time may be too little for the odds
        return json.loads((tmp_path / out / "result.json").read_text(encoding="utf-8"))["digest"]

    assert digest("own", "--set", "policy=./steadfast.py") != digest("default")
    run = json.loads((tmp_path / "own" / "run.json").read_text(encoding="utf-8"))
    assert [code["path"] for code in run["own_code"]] == ["steadfast.py"]


def test_the_lines_from_python_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = code_below("From Python").replace("nodes=50", "nodes=3, duration_s=2")
    exec(compile(text, "README.md", "exec"), {})
    assert "runs/flash-crowd-seed1-" in capsys.readouterr().out
