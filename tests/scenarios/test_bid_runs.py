"""Whole runs of the scenarios about bids: their claims hold on both clocks, and fail for servers that do not answer the odds best."""

import pytest

from scenarios.catalogue import scenario_named
from scenarios.options import Options
from scenarios.result import EXIT_CLAIM, EXIT_OK
from scenarios.runner import run_scenario

SCENARIOS = ["equilibrium", "many-servers", "herding"]
SMALL = {"markets": 1, "servers": 3, "files": 2, "nodes": 6, "quiet_s": 25, "duration_s": 25, "load": 0.8}


def play(name, tmp_path, *, time="virtual", seed=1, **values):
    options = Options(seed=seed, time=time, out=tmp_path / "run", quiet=True)
    return run_scenario(scenario_named(name), values, options)


def failed(result):
    return [claim.name for claim in result.claims if claim.ok is not True]


def test_a_small_market_comes_to_its_equilibrium(tmp_path):
    result = play("equilibrium", tmp_path, **SMALL)
    assert failed(result) == []
    assert result.status == EXIT_OK


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_claim_holds_in_virtual_time(name, seed, tmp_path):
    result = play(name, tmp_path, seed=seed)
    assert failed(result) == []
    assert result.status == EXIT_OK


@pytest.mark.slow
def test_proportional_response_is_no_nash_equilibrium(tmp_path):
    result = play("equilibrium", tmp_path, policy="proportional_response", turns="all")
    assert "quiet: bids against the equilibrium (TV)" in failed(result)
    assert "quiet: largest best-response gap" in failed(result)
    assert result.status == EXIT_CLAIM


@pytest.mark.slow
def test_best_responses_all_at_once_keep_few_servers_from_the_consensus_of_many(tmp_path):
    assert "quiet: slope of ln distance on ln m" in failed(play("many-servers", tmp_path, turns="all"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_claim_holds_on_real_sockets(name, tmp_path):
    result = play(name, tmp_path, time="real")
    assert all(result.invariants.values())
    if not result.certificate.valid:
        pytest.skip(f"this host was too busy to emulate in real time: {result.certificate.reasons}")
    assert failed(result) == []
