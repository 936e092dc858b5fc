"""`swarmbed predict`: every quantity by hand or by another method, and one clear line for every bad input."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from netem.randomness import keyed_generator
from scenarios.predictions import catalogue
from scenarios.predictions.market import delay, envy, growth, longshot, relaxation, stores, utility
from scenarios.predictions.reading import fill

NAMES = catalogue.prediction_names()
EXAMPLES = {
    "market.consensus": {"beliefs": [[0.6, 0.4], [0.3, 0.7]], "budgets": [1, 2]},
    "market.delay": {"p": [0.5, 0.3, 0.2], "model": "pooled"},
    "market.envy": {"beliefs": [0.6, 0.4], "budgets": [1, 2], "bids": [[0.6, 0.4], [1.2, 0.8]]},
    "market.equilibrium": {"beliefs": [[0.6, 0.4], [0.3, 0.7]], "budgets": [1, 2]},
    "market.growth": {"p": 0.3, "start": 0.01},
    "market.imitation": {"alpha": 0.5, "p": 0.7, "start": [1, 1], "arrivals": [10, 100]},
    "market.longshot": {"p": [0.5, 0.3, 0.2], "odds": [0.4, 0.3, 0.3]},
    "market.relaxation": {"old": [0.8, 0.2], "new": [0.2, 0.8]},
    "market.stores": {"p": [0.5, 0.3, 0.2], "servers": 5},
    "market.utility": {"bids": [[1, 2], [3, 0]], "rates": [0.5, 2], "discount": 0.1},
}


@pytest.fixture
def predict(swarmbed, tmp_path):
    """Predict a quantity from an input, through a file and JSON."""

    def run(name, **values):
        (tmp_path / "input.json").write_text(json.dumps(values), encoding="utf-8")
        return swarmbed("predict", name, "--input", "input.json", "--json")

    return run


def answered(module, **values):
    return module.predict(fill(module.Input, values))


# -- the command ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_quantity_answers_its_example_in_json_and_in_words(name, predict, swarmbed):
    outcome = predict(name, **EXAMPLES[name])
    assert (outcome.status, outcome.err) == (0, "")
    answer = json.loads(outcome.out)
    assert json.loads(json.dumps(answer)) == answer
    words = swarmbed("predict", name, "--input", "input.json")
    assert (words.status, words.err) == (0, "")
    assert all(any(line.startswith(key) for line in words.out.splitlines()) for key in answer)


def test_the_list_names_every_quantity_and_its_keys(swarmbed):
    outcome = swarmbed("predict")
    assert outcome.status == 0
    assert [line for line in outcome.out.splitlines() if not line.startswith(" ")] == NAMES
    rows = json.loads(swarmbed("predict", "--json").out)
    assert {row["name"]: {key["key"] for key in row["input"] if key["required"]} for row in rows} == {
        name: set(example) for name, example in EXAMPLES.items()
    }


def test_input_comes_from_standard_input_and_settings_outrank_it(swarmbed, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"p": 0.5, "start": 0.1}')))
    outcome = swarmbed("predict", "market.growth", "--input", "-", "--set", "start=.25", "--json")
    assert json.loads(outcome.out) == {"time": math.log(2)}


def test_settings_are_json_or_text(swarmbed):
    settings = ("--set", "p=[0.25, 0.25]", "--set", "model=pooled")
    assert json.loads(swarmbed("predict", "market.delay", *settings, "--json").out)["odds"] == [0.5, 0.5]


def test_no_equilibrium_is_an_answer_with_status_1(predict, swarmbed):
    outcome = predict("market.equilibrium", beliefs=[[1, 0], [0.5, 0.5]], budgets=[1, 1])
    assert (outcome.status, outcome.err) == (1, "")
    assert list(json.loads(outcome.out)) == ["error"]
    assert swarmbed("predict", "market.equilibrium", "--input", "input.json").out.startswith(
        "error  equilibrium: there is none"
    )


@pytest.mark.parametrize(
    ("name", "changed", "field"),
    [
        ("market.equilibrium", {"beliefs": [[0.5, -0.5], [0.5, 0.5]]}, "beliefs[0][1]"),
        ("market.equilibrium", {"beliefs": [[0.5, "x"], [0.5, 0.5]]}, "beliefs[0][1]"),
        ("market.equilibrium", {"beliefs": [[0.5, None], [0.5, 0.5]]}, "beliefs[0][1]"),
        ("market.equilibrium", {"beliefs": [[0.5, 0.5], [1]]}, "beliefs[1]"),
        ("market.equilibrium", {"beliefs": [[0.5, 0.5], 1]}, "beliefs"),
        ("market.equilibrium", {"beliefs": [[0.5, 0.5], [0, 0]]}, "beliefs[1]"),
        ("market.equilibrium", {"beliefs": [0, 0]}, "beliefs"),
        ("market.equilibrium", {"beliefs": []}, "beliefs"),
        ("market.equilibrium", {"beliefs": [[], []]}, "beliefs[0]"),
        ("market.equilibrium", {"beliefs": 0.5}, "beliefs"),
        ("market.equilibrium", {"budgets": [1]}, "budgets"),
        ("market.equilibrium", {"budgets": [1, 0]}, "budgets[1]"),
        ("market.equilibrium", {"budgets": []}, "budgets"),
        ("market.equilibrium", {"budget": [1, 1]}, "budget"),
        ("market.consensus", {"budgets": [1, 2, 3]}, "budgets"),
        ("market.imitation", {"alpha": 1.1}, "alpha"),
        ("market.imitation", {"alpha": True}, "alpha"),
        ("market.imitation", {"p": -0.1}, "p"),
        ("market.imitation", {"start": [0, 0]}, "start"),
        ("market.imitation", {"start": [1]}, "start"),
        ("market.imitation", {"start": [1.5, 1]}, "start[0]"),
        ("market.imitation", {"arrivals": [10, -1]}, "arrivals[1]"),
        ("market.imitation", {"arrivals": 10}, "arrivals"),
        ("market.imitation", {"bias": 2}, "bias"),
        ("market.imitation", {"belief": {"kind": "normal", "high": 1}}, "belief.kind"),
        ("market.imitation", {"belief": {"kind": "uniform", "high": 0}}, "belief.high"),
        ("market.imitation", {"belief": {"kind": "uniform"}}, "belief"),
        ("market.utility", {"discount": 0}, "discount"),
        ("market.utility", {"rates": [1]}, "rates"),
        ("market.utility", {"bids": [[1, 2], [3]]}, "bids[1]"),
        ("market.growth", {"p": 0}, "p"),
        ("market.growth", {"start": 1.5}, "start"),
        ("market.delay", {"model": "both"}, "model"),
        ("market.delay", {"p": [0, 0]}, "p"),
        ("market.longshot", {"odds": [0.5, 0.5]}, "odds"),
        ("market.longshot", {"odds": [0.5, 0, 0.5]}, "odds[1]"),
        ("market.envy", {"bids": [[1, 2]]}, "bids"),
        ("market.relaxation", {"new": [1]}, "new"),
        ("market.relaxation", {"new": [0, 1]}, "new[0]"),
        ("market.relaxation", {"board_s": 0.1, "heartbeat_s": 10}, "board_s"),
        ("market.relaxation", {"heard": 1.1}, "heard"),
        ("market.stores", {"room": 3}, "room"),
        ("market.stores", {"others": [1]}, "others"),
    ],
    ids=str,
)
def test_a_bad_input_is_one_line_that_names_the_entry(predict, name, changed, field):
    outcome = predict(name, **{**EXAMPLES[name], **changed})
    (line,) = outcome.err.splitlines()
    assert (outcome.status, outcome.out) == (2, "")
    assert re.match(rf"swarmbed: {re.escape(field)}: .+ is not allowed; allowed: .+", line), line


@pytest.mark.parametrize(
    ("text", "settings_too", "field"),
    [
        (b"{", (), "--input"),
        (b"[1]", (), "--input"),
        (b'{"p": NaN, "start": 0.1}', (), "--input"),
        (b'{"p": Infinity, "start": 0.1}', (), "--input"),
        (b'{"p": 1e999, "start": 0.1}', (), "--input"),
        (b"\xff\xfe", (), "--input"),
        (b"", (), "--input"),
        (b'{"p": 0.3}', (), "start"),
        (b'{"p": 0.3, "start": 0.1}', ("--set", "p=nan"), "p"),
        (b'{"p": 0.3, "start": 0.1}', ("--set", "p"), "--set"),
    ],
)
def test_bad_json_is_one_line(swarmbed, text, settings_too, field):
    Path("input.json").write_bytes(text)
    outcome = swarmbed("predict", "market.growth", "--input", "input.json", *settings_too)
    (line,) = outcome.err.splitlines()
    assert (outcome.status, outcome.out) == (2, "")
    assert line.startswith(f"swarmbed: {field}: ")
    assert " is not allowed; allowed: " in line


@pytest.mark.parametrize(("name", "field"), [("market.magic", "QUANTITY"), ("market", "QUANTITY"), ("", "QUANTITY")])
def test_an_unknown_quantity_is_one_line(swarmbed, name, field):
    outcome = swarmbed("predict", name)
    assert outcome.status == 2
    assert outcome.err.startswith(f"swarmbed: {field}: {name!r} is not allowed; allowed: market.consensus, ")


def test_a_missing_file_is_one_line(swarmbed):
    outcome = swarmbed("predict", "market.growth", "--input", "missing.json")
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: --input: 'missing.json' is not allowed; allowed: a file that can be read")


# -- utility ---------------------------------------------------------------------------------------------------------------


def test_discounted_income_against_simulated_poisson_requests():
    answer = answered(utility, bids=[[1, 2, 0], [3, 0, 0]], rates=[0.5, 2, 7], discount=0.1)
    assert answer["shares"] == [[0.25, 1.0, 0.0], [0.75, 0.0, 0.0]]
    chance, runs, horizon = keyed_generator(12, "requests"), 4_000, 200.0  # e^-20 of the income comes later
    income = np.zeros((runs, 2))
    for file, rate in enumerate((0.5, 2.0)):
        counts = chance.poisson(rate * horizon, runs)
        for run, count in enumerate(counts):
            worth = np.exp(-0.1 * chance.uniform(0, horizon, count)).sum()
            income[run] += worth * np.array(answer["shares"])[:, file]
    for server in range(2):
        mean, sd = answer["utilities"][server], answer["sd"][server]
        assert abs(income[:, server].mean() - mean) <= 4 * sd / math.sqrt(runs)
        # Sums of many small incomes are nearly normal: their variance has relative error sqrt(2 / runs).
        assert abs(income[:, server].var() / sd**2 - 1) <= 6 * math.sqrt(2 / runs)


# -- relaxation ------------------------------------------------------------------------------------------------------------


def test_odds_relax_board_by_board_until_they_are_near():
    answer = answered(relaxation, old=[4, 1], new=[1, 4], boards=4, board_s=2, near=0.1)
    # The undisturbed answer takes the square root of what the ratio of the two odds is off: 16, 4, 2, sqrt 2.
    shares = [4 / 5, 1 / 2, 1 / 3, 1 / (1 + 4 / math.sqrt(2))]
    assert [odds[0] for odds in answer["odds"]] == pytest.approx(shares)
    assert answer["distances"] == pytest.approx([share - 1 / 5 for share in shares])
    assert 2 * 2 < answer["time_s"] < 3 * 2
    assert answer["fading"] == pytest.approx(0.5)
    assert "sd" not in answer


def test_odds_that_few_hear_need_more_boards_than_there_are_and_err():
    answer = answered(relaxation, old=[4, 1], new=[1, 4], boards=4, heard=0.1, servers=25)
    assert answer["time_s"] is None
    # After one board a share 0.1 of the servers has moved by 0.3.
    assert answer["sd"][1] == pytest.approx(0.3 * math.sqrt(0.1 * 0.9 / 25))


# -- stores ------------------------------------------------------------------------------------------------------------------


def test_stores_are_seats_and_what_others_serve_counts():
    plain = answered(stores, p=[34, 28, 16, 6, 1.5], servers=7)
    assert plain == {"places": [3, 3, 1, 0, 0], "odds": pytest.approx([3 / 7, 3 / 7, 1 / 7, 0, 0])}
    shared = answered(stores, p=[0.6, 0.4], servers=2, others=[1, 0])
    assert shared == {"places": [1, 1], "odds": pytest.approx([2 / 3, 1 / 3])}


# -- growth ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "start", "time"), [(0.3, 0.3 / math.e, 1.0), (1.0, 0.5, math.log(2)), (0.1, 0.2, 0.0)])
def test_growth_is_logarithmic(p, start, time):
    assert answered(growth, p=p, start=start)["time"] == pytest.approx(time)


# -- delay -----------------------------------------------------------------------------------------------------------------


@given(p=st.lists(st.floats(1e-4, 1), min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_pooled_odds_are_the_optimum_that_slsqp_finds(p):
    shares = np.array(p) / sum(p)
    answer = answered(delay, p=p, model="pooled")
    found = optimize.minimize(
        lambda odds: float((shares / odds).sum()),
        np.full(len(p), 1 / len(p)),
        bounds=[(1e-4, 1)] * len(p),
        constraints={"type": "eq", "fun": lambda odds: odds.sum() - 1},
        method="SLSQP",
    )
    assert float((shares / np.array(answer["odds"])).sum()) == pytest.approx(answer["mean_time"])
    assert answer["mean_time"] <= found.fun * (1 + 1e-9)
    assert answer["mean_time"] * (1 - 1e-12) <= answer["mean_time_proportional"] == len(p)


def test_single_odds_are_the_requests_at_any_load():
    shares, load = np.array([0.6, 0.3, 0.1]), 0.7
    assert answered(delay, p=[6, 3, 1], model="single") == {
        "odds": pytest.approx([0.6, 0.3, 0.1]),
        "mean_time": 1.0,
        "mean_time_proportional": 1.0,
    }

    def mean_time(odds):
        return float((shares / (1 - load * shares / odds)).sum()) * (1 - load)

    assert mean_time(shares) == pytest.approx(1.0)
    for shift in ([0.05, -0.05, 0], [0, 0.02, -0.02], [-0.1, 0.05, 0.05]):
        assert mean_time(shares + np.array(shift)) > 1.0


def test_a_file_that_is_never_asked_for_takes_no_time():
    answer = answered(delay, p=[0.5, 0, 0.5], model="pooled")
    assert answer == {"odds": [0.5, 0.0, 0.5], "mean_time": pytest.approx(2.0), "mean_time_proportional": 2.0}


# -- longshot --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.5, 1.0, 1.3])
def test_the_bias_of_a_power_law_is_one_less_its_exponent(power):
    p = 1 / np.arange(1, 21)
    answer = answered(longshot, p=p.tolist(), odds=(p**power).tolist())
    assert answer["bias"] == pytest.approx(1 - power, abs=1e-12)
    tail = (p**power)[10:].sum() / (p**power).sum() / (p[10:].sum() / p.sum())
    assert answer["tail"] == pytest.approx(tail)


def test_the_line_is_that_of_polyfit():
    chance = keyed_generator(13, "line")
    p, odds = chance.dirichlet(np.ones(9)), chance.dirichlet(np.ones(9))
    slope = np.polyfit(np.log(p), np.log(odds), 1)[0]
    assert answered(longshot, p=p.tolist(), odds=odds.tolist())["bias"] == pytest.approx(1 - slope)


def test_without_differences_there_is_no_line_and_of_one_file_no_tail():
    assert answered(longshot, p=[0.5, 0.5], odds=[0.9, 0.1]) == {"bias": None, "tail": pytest.approx(1.0)}
    assert answered(longshot, p=[1], odds=[1]) == {"bias": None, "tail": None}


def test_the_order_of_the_files_does_not_matter_to_the_tail():
    one = answered(longshot, p=[4, 2, 2, 2, 1], odds=[1, 2, 3, 4, 5])
    other = answered(longshot, p=[2, 1, 2, 4, 2], odds=[4, 5, 2, 1, 3])
    assert one == {key: pytest.approx(value) for key, value in other.items()}


# -- envy ------------------------------------------------------------------------------------------------------------------


def test_envy_by_hand():
    # Server 0 has half of file 0 (0.9 of its worth) and would rather have file 1 too: 0.45 against 0.55.
    answer = answered(envy, beliefs=[0.9, 0.1], budgets=[1, 1], bids=[[1, 0], [1, 1]])
    assert answer == {
        "envy_free_ratio": pytest.approx(0.45 / 0.55),
        "uniformity": pytest.approx(0.45 / 0.55),
        "efficiency": pytest.approx(1.0),
    }


def test_a_larger_budget_may_buy_more_without_envy():
    answer = answered(envy, beliefs=[0.5, 0.5], budgets=[1, 3], bids=[[0.5, 0.5], [1.5, 1.5]])
    assert answer == {"envy_free_ratio": 1.0, "uniformity": pytest.approx(1.0), "efficiency": pytest.approx(1.0)}


def test_bids_on_nothing_wanted_leave_nothing_to_compare():
    answer = answered(envy, beliefs=[1, 0], budgets=[1, 1], bids=[[0, 1], [0, 1]])
    assert answer == {"envy_free_ratio": None, "uniformity": None, "efficiency": 0.0}


@given(seed=st.integers(0, 10**6), servers=st.integers(2, 6), files=st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_in_equilibrium_nobody_envies_much(seed, servers, files):
    beliefs = (keyed_generator(seed, "envy").dirichlet(np.ones(files), servers) + 1e-6).tolist()
    budgets = [1.0] * servers
    equilibrium = catalogue.prediction_named("market.equilibrium")
    bids = equilibrium.predict(fill(equilibrium.input_type, {"beliefs": beliefs, "budgets": budgets}))["bids"]
    answer = answered(envy, beliefs=beliefs, budgets=budgets, bids=bids)
    assert 2 * math.sqrt(2) - 2 - 1e-6 <= answer["envy_free_ratio"] <= 1.0
    assert 0.0 < answer["efficiency"] <= 1.0 + 1e-12
