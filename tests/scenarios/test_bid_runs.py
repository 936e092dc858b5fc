"""Whole runs of the scenarios about bids: their claims hold on both clocks, and fail for servers that do not answer the odds best."""

import pytest

from scenarios.result import EXIT_CLAIM
from tests.scenarios.whole_runs import assert_every_claim_holds, assert_every_claim_holds_in_real_time, not_held, play

SCENARIOS = ["equilibrium", "many-servers", "herding"]
SMALL = {"markets": 1, "servers": 3, "files": 2, "nodes": 6, "quiet_s": 25, "duration_s": 25, "load": 0.8}


def test_a_small_market_comes_to_its_equilibrium(tmp_path):
    assert_every_claim_holds(play("equilibrium", tmp_path / "run", **SMALL))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_claim_holds_in_virtual_time(name, seed, tmp_path):
    assert_every_claim_holds(play(name, tmp_path / "run", seed=seed))


@pytest.mark.slow
def test_proportional_response_is_no_nash_equilibrium(tmp_path):
    result = play("equilibrium", tmp_path / "run", policy="proportional_response", turns="all")
    assert "quiet: bids against the equilibrium (TV)" in not_held(result)
    assert "quiet: largest best-response gap" in not_held(result)
    assert result.status == EXIT_CLAIM


@pytest.mark.slow
def test_best_responses_all_at_once_keep_few_servers_from_the_consensus_of_many(tmp_path):
    assert "quiet: slope of ln distance on ln m" in not_held(play("many-servers", tmp_path / "run", turns="all"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_claim_holds_on_real_sockets(name, tmp_path):
    assert_every_claim_holds_in_real_time(play(name, tmp_path / "run", time="real"))
