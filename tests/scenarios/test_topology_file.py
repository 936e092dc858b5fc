"""Runs over a topology: the documented example as it is printed, and what is refused before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netem.accounts import merge
from netem.topology import parse_topology
from scenarios.catalogue import scenario_named
from scenarios.hosts import node_names
from scenarios.options import Options
from scenarios.runner import run_scenario

PAGE = Path(__file__).resolve().parents[2] / "netem" / "TOPOLOGY_AND_FAULTS.md"
EXAMPLE = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
VALUES = {"nodes": 8, "duration_s": 6.0, "load": 0.5}


def play(out, content, *, values=VALUES, **options):
    chosen = Options(content=content, out=out, quiet=True, **{"time": "virtual"} | options)
    return run_scenario(scenario_named("steady"), values, chosen)


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(EXAMPLE)
    return path


def test_the_documented_example_is_what_a_run_does(tmp_path, content, example, monkeypatch):
    accounts = []
    monkeypatch.setattr("scenarios.play.merge", lambda parts: accounts.append(merge(parts)) or accounts[-1])
    result = play(tmp_path / "out", content, values=VALUES | {"topology": str(example), "jitter_s": 0.0})
    assert result.certificate.valid
    assert result.certificate.delay_s.ok
    regions = ["eu", "eu", "us", "asia", "eu", "eu", "us", "asia"]
    matrix = parse_topology(EXAMPLE, source="").latency
    where = dict(zip(node_names(8), regions, strict=True)) | {"tracker": "eu"}
    delays_s = {
        (link.source, link.target): link.own_delay_sum_ns / link.received / 1e9
        for link in accounts[0].links
        if link.received
    }
    assert len(delays_s) > 30
    for (source, target), delay_s in delays_s.items():
        ends = where[source], where[target]
        if set(ends) == {"us", "asia"}:
            assert abs(delay_s - 0.080) < 0.005
        else:
            row, column = (matrix.regions.index(end) for end in ends)
            assert delay_s == pytest.approx(matrix.one_way_s[row][column])
    assert (result.directory / "topology.toml").read_text() == EXAMPLE
    assert [claim.ok for claim in result.claims if "odds" in claim.name] == [None]


@pytest.mark.slow
def test_the_nodes_of_other_processes_are_in_the_same_regions(tmp_path, content, example):
    result = play(tmp_path / "out", content, values=VALUES | {"topology": str(example)}, time="real", procs=2)
    assert result.certificate.conservation.missing == 0
    assert result.certificate.loss.ok


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EXAMPLE.replace("share", "shares"), "t.toml: regions.eu.shares: 2 is not allowed; allowed: the keys "),
        (
            EXAMPLE.replace("node-1", "node-8"),
            "t.toml: hosts.node-8: 'node-8' is not allowed; allowed: a host or pattern",
        ),
        (
            EXAMPLE.replace("0.120", "1.120"),
            "t.toml: latency asia > eu delay: '1.12 s' is not allowed; allowed: a delay",
        ),
        (
            EXAMPLE.replace("loss 1%", "loss 60%"),
            "t.toml: links[0].impair loss: 'delay 80ms 5ms loss 60%' is not allowed",
        ),
        (
            EXAMPLE.replace("60_000", "6"),
            "t.toml: hosts.node-1.upload_bytes_per_s: 6.0 is not allowed; allowed: a number from 1000 to 1e+09",
        ),
        (None, "topology: 't.toml' is not allowed; allowed: a text file that can be read (No such file or directory)"),
    ],
)
@pytest.mark.parametrize(
    "command", [("run", "steady", "--time", "virtual"), ("sweep", "steady", "--over", "loss=0,0.1")]
)
def test_a_topology_that_makes_no_sense_is_refused_before_anything_runs(swarmbed, tmp_path, *, text, message, command):
    if text is not None:
        (tmp_path / "t.toml").write_text(text)
    ended = swarmbed(*command, "--nodes", "8", "--set", "topology=t.toml", "--out", "out")
    assert (ended.status, ended.err[: len("swarmbed: ") + len(message)]) == (2, f"swarmbed: {message}")
    assert not (tmp_path / "out").exists()
