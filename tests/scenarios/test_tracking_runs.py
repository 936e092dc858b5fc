"""Whole runs of tracking: the claims hold under proportional response at every pace of boards, and fail when servers do not follow."""

import pytest

from scenarios.result import EXIT_CLAIM
from tests.scenarios.whole_runs import assert_every_claim_holds, assert_every_claim_holds_in_real_time, not_held, play


def test_every_claim_holds_in_a_small_market_with_frequent_boards(tmp_path):
    small = {"nodes": 15, "servers_share": 0.8, "board_interval_s": 0.5, "shift_s": 8.0, "duration_s": 24.0}
    assert_every_claim_holds(play("tracking", tmp_path / "run", **small))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_every_claim_holds_in_virtual_time(tmp_path, seed):
    assert_every_claim_holds(play("tracking", tmp_path / "run", seed=seed))


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
    assert not_held(play("tracking", tmp_path / "run", **values)) == []


@pytest.mark.slow
def test_servers_that_ignore_the_odds_do_not_follow(tmp_path):
    result = play("tracking", tmp_path / "run", policy="fixed")
    assert len(not_held(result)) == 6
    assert result.status == EXIT_CLAIM


@pytest.mark.slow
def test_every_claim_holds_on_real_sockets(tmp_path):
    assert_every_claim_holds_in_real_time(play("tracking", tmp_path / "run", time="real"))
