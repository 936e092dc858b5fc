"""Whole runs of tracking: the claims hold under proportional response at every pace of boards, and fail when servers do not follow."""

import pytest

from scenarios.catalogue import scenario_named
from scenarios.options import Options
from scenarios.result import EXIT_CLAIM, EXIT_OK
from scenarios.runner import run_scenario


def play(tmp_path, *, time="virtual", seed=1, **values):
    options = Options(seed=seed, time=time, out=tmp_path / "run", quiet=True)
    return run_scenario(scenario_named("tracking"), values, options)


def broken(result):
    return [claim.name for claim in result.claims if claim.ok is not True]


def test_every_claim_holds_in_a_small_market_with_frequent_boards(tmp_path):
    small = {"nodes": 15, "servers_share": 0.8, "board_interval_s": 0.5, "shift_s": 8.0, "duration_s": 24.0}
    result = play(tmp_path, **small)
    assert broken(result) == []
    assert result.status == EXIT_OK


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_every_claim_holds_in_virtual_time(tmp_path, seed):
    result = play(tmp_path, seed=seed)
    assert broken(result) == []
    assert result.status == EXIT_OK


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"board_interval_s": 0.5},
        {"board_interval_s": 2.0, "shift_s": 25.0, "duration_s": 90.0},
        {"odds_loss": 0.7, "duration_s": 60.0},
        {"loss": 0.2},
    ],
    ids=str,
)
def test_every_claim_holds_at_other_paces_and_losses(tmp_path, values):
    assert broken(play(tmp_path, **values)) == []


@pytest.mark.slow
def test_servers_that_ignore_the_odds_do_not_follow(tmp_path):
    result = play(tmp_path, policy="fixed")
    assert len(broken(result)) == 6
    assert result.status == EXIT_CLAIM


@pytest.mark.slow
def test_every_claim_holds_on_real_sockets(tmp_path):
    result = play(tmp_path, time="real")
    assert all(result.invariants.values())
    if not result.certificate.valid:
        pytest.skip(f"this host was too busy to emulate in real time: {result.certificate.reasons}")
    assert broken(result) == []
