"""Every bench there is, at a tiny size; and how a comparison is judged and told."""

from __future__ import annotations

import json
import math

import pytest

from node.plugins import find
from scenarios import bench
from scenarios.bench import decide, nodes
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns

BENCHES = find(bench, Bench)
SLOW = {"nodes"}  # it starts fresh processes
KEYS = {"name", "what", "ratio", "subject", "baseline", "unit", "repetitions", "ratios", "goal", "met", "note"}
TINY = Effort(scale=0.002, repetitions=2)


def figure(subject, baseline, **rest):
    return Figure(name="f", what="one over the other", unit="us", subject=subject, baseline=baseline, **rest)


def test_the_benches_are_there():
    assert list(BENCHES) == [
        "bank",
        "decide",
        "heartbeat",
        "market",
        "metrics",
        "nodes",
        "path",
        "rate",
        "relay",
        "timing",
        "virtual",
    ]


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in BENCHES])
def test_a_bench_yields_figures_above_zero(name):
    figures = list(BENCHES[name]().figures(TINY))
    assert figures
    for found in figures:
        row = found.to_dict()
        assert set(row) == KEYS
        assert len(found.subject) == len(found.baseline) == row["repetitions"] == 2
        values = [*found.subject, *found.baseline, *row["ratios"], row["ratio"], row["subject"], row["baseline"]]
        assert all(math.isfinite(value) and value > 0 for value in values)
        assert row["unit"]
    assert figures[0].name.split(",")[0] == name


@pytest.mark.parametrize("start", [nodes.start_peers, nodes.start_sockets])
def test_nodes_are_started_in_some_time_and_memory(start):
    assert all(0 < cost < math.inf for cost in start(3))


@pytest.mark.parametrize("kind", BENCHES.values(), ids=BENCHES)
def test_a_bench_says_what_it_wants(kind):
    assert kind.goal
    assert kind.__module__.endswith(f".{kind.name}")


def test_the_ratio_is_of_medians():
    row = figure([1.0, 100.0, 3.0], [2.0, 2.0, 1.0]).to_dict()
    assert (row["ratio"], row["subject"], row["baseline"]) == (1.5, 3.0, 2.0)
    assert row["ratios"] == [0.5, 50.0, 3.0]


@pytest.mark.parametrize(
    ("goal", "words", "met"),
    [
        (Goal(limit=1.5, at_most=True), "at most 1.5", False),
        (Goal(limit=2.0, at_most=True), "at most 2", True),
        (Goal(limit=2.0, at_most=False), "at least 2", True),
        (Goal(limit=2.1, at_most=False), "at least 2.1", False),
        (Goal(limit=3.9, at_most=True, of_subject=True), "at most 3.9 us", False),
        (Goal(limit=4.0, at_most=True, of_subject=True), "at most 4 us", True),
    ],
)
def test_a_missed_goal_is_said_plainly(goal, words, met):
    found = figure([4.0], [2.0], goal=goal)
    assert found.met is met
    assert next(found.lines()) == f"f: ratio 2; goal {words}: {'met' if met else 'missed'}"


def test_without_a_goal_nothing_is_met_or_missed():
    found = figure([1.0], [4.0])
    assert found.met is None
    assert next(found.lines()) == "f: ratio 0.25 (1/4)"


def test_baseline_and_subject_take_turns():
    order = []
    subjects, baselines = take_turns(
        lambda: order.append("subject") or len(order), lambda: order.append("baseline") or len(order), repetitions=3
    )
    assert order == ["baseline", "subject"] * 3
    assert (subjects, baselines) == ([2, 4, 6], [1, 3, 5])


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 100), (0.5, 50), (0.0001, 1)])
def test_an_effort_scales_counts(scale, expected):
    assert Effort(scale=scale).of(100) == expected


def test_seven_repetitions_are_the_rule():
    assert Effort().repetitions >= 5


# -- the command ------------------------------------------------------------------------------------------------------------


def test_the_command_lists_benches_and_goals(swarmbed):
    outcome = swarmbed("bench")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [line for n, kind in BENCHES.items() for line in (n, f"  {kind.goal}")]
    assert [row["name"] for row in json.loads(swarmbed("bench", "--json").out)] == list(BENCHES)


def test_an_unknown_bench_is_one_clear_line(swarmbed):
    outcome = swarmbed("bench", "speed")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"swarmbed: NAME: 'speed' is not allowed; allowed: {', '.join(BENCHES)}\n"


def test_the_command_tells_the_ratio_and_ends_with_0_either_way(swarmbed, monkeypatch):
    monkeypatch.setattr(decide, "PACKETS", 500)
    outcome = swarmbed("bench", "decide")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("decide: ratio ")
    assert "; goal at most 0.25: m" in outcome.out


def test_the_command_prints_json(swarmbed, monkeypatch):
    monkeypatch.setattr(decide, "PACKETS", 500)
    row = json.loads(swarmbed("bench", "decide", "--json").out)
    assert set(row) == {*KEYS, "more", "load_average"}
    assert (row["name"], [more["name"] for more in row["more"]]) == ("decide", ["decide, blocks"])
    assert row["repetitions"] >= 5
