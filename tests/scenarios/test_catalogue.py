"""The contract of every scenario: adding one file under scenarios/scripts adds it to these tests."""

from __future__ import annotations

import inspect
import json

import msgspec
import pytest

from netem.errors import ConfigError
from scenarios.catalogue import scenario_named, scenario_names
from scenarios.claims import Claim
from scenarios.options import Options
from scenarios.parameters import Params, describe, fill, undeclared
from scenarios.runner import run_scenario

EVERY_SCENARIO = pytest.mark.parametrize("name", scenario_names())
COMMON = set(Params.__struct_fields__)


def test_flash_crowd_is_there():
    assert "flash-crowd" in scenario_names()
    assert scenario_names() == sorted(scenario_names())


@pytest.mark.parametrize("name", ["", "flash_crowd", "Flash-Crowd", "scripts", "../cli", "flash-crowd.py"])
def test_another_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(ConfigError, match=r"SCENARIO: .*flash-crowd") as caught:
        scenario_named(name)
    assert caught.value.value == name


@EVERY_SCENARIO
def test_a_scenario_asks_a_question_and_names_its_source(name):
    question = scenario_named(name).question
    assert question.splitlines()[0].endswith("?")
    assert "Source: " in question


@EVERY_SCENARIO
def test_every_key_has_a_description_a_unit_a_range_and_an_allowed_default(name):
    params = scenario_named(name).params
    assert issubclass(params, Params)
    assert params.__struct_config__.frozen
    assert set(params.__struct_fields__) >= COMMON
    rows = describe(params)
    assert undeclared(params) == ""
    assert all(row["description"] and row["allowed"] for row in rows.values())
    assert fill(params, {key: row["default"] for key, row in rows.items()}) == params()
    params().link()


@EVERY_SCENARIO
def test_a_scenario_plays_and_judges_itself(name, tmp_path, content, fewest_nodes):
    scenario = scenario_named(name)
    assert inspect.iscoroutinefunction(scenario.run)
    options = Options(time="virtual", content=content, out=tmp_path / "out", quiet=True)
    nodes = fewest_nodes(scenario.params)
    # A dozen nodes and more show in one second what few show in two: every claim is judged either way.
    values = {"nodes": nodes, "duration_s": 2 if nodes < 12 else 1, "upload_bytes_per_s": 1e6}
    if "quiet_s" in scenario.params.__struct_fields__:
        values["quiet_s"] = 4
    result = run_scenario(scenario, values, options)
    assert result.status in {0, 1}  # two seconds may be too little data for a claim, never a void run
    assert all(isinstance(claim, Claim) and claim.name and claim.source for claim in result.claims)
    assert len({claim.name for claim in result.claims}) == len(result.claims) > 0
    assert all(claim.tolerance >= 0 for claim in result.claims)
    assert all(claim.note for claim in result.claims if claim.ok is None)
    json.dumps([claim.to_dict() for claim in result.claims], allow_nan=False)
    assert msgspec.to_builtins(result.params)["nodes"] == values["nodes"]
