"""Whole runs of the scenarios about delay and the long tail."""

import pytest

from scenarios.result import EXIT_CLAIM
from tests.scenarios.whole_runs import assert_every_claim_holds, assert_every_claim_holds_in_real_time, play, verdicts

pytestmark = pytest.mark.slow

SCENARIOS = ["delay", "long-tail"]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_claim_holds_in_virtual_time(tmp_path, scenario, seed):
    assert_every_claim_holds(play(scenario, tmp_path / "run", seed=seed))


def test_a_tail_whose_servers_do_not_follow_the_odds_fails(tmp_path):
    result = play("long-tail", tmp_path / "run", policy="fixed")
    seen = verdicts(result)
    assert seen["requests answered"]
    assert seen["tail's bandwidth over its requests"] is False
    assert seen["popular half: time / service"] is False
    assert result.status == EXIT_CLAIM


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_claim_holds_on_real_sockets(tmp_path, scenario):
    assert_every_claim_holds_in_real_time(play(scenario, tmp_path / "run", time="real"))
