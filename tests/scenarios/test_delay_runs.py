"""Whole runs of the scenarios about delay and the long tail."""

import pytest

from scenarios.catalogue import scenario_named
from scenarios.options import Options
from scenarios.result import EXIT_CLAIM, EXIT_OK
from scenarios.runner import run_scenario

pytestmark = pytest.mark.slow

SCENARIOS = ["delay", "long-tail"]


def play(tmp_path, scenario, *, time="virtual", seed=1, **values):
    options = Options(seed=seed, time=time, out=tmp_path / "run", quiet=True)
    return run_scenario(scenario_named(scenario), values, options)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_claim_holds_in_virtual_time(tmp_path, scenario, seed):
    result = play(tmp_path, scenario, seed=seed)
    assert [claim.name for claim in result.claims if claim.ok is not True] == []
    assert result.status == EXIT_OK


def test_a_tail_whose_servers_do_not_follow_the_odds_fails(tmp_path):
    result = play(tmp_path, "long-tail", policy="fixed")
    verdicts = {claim.name: claim.ok for claim in result.claims}
    assert verdicts["requests answered"]
    assert verdicts["tail's bandwidth over its requests"] is False
    assert verdicts["popular half: time / service"] is False
    assert result.status == EXIT_CLAIM


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_claim_holds_on_real_sockets(tmp_path, scenario):
    result = play(tmp_path, scenario, time="real")
    assert all(result.invariants.values())
    if not result.certificate.valid:
        pytest.skip(f"this host was too busy to emulate in real time: {result.certificate.reasons}")
    assert [claim.name for claim in result.claims if claim.ok is not True] == []
