"""Whole runs of the flash crowd: the claims hold under the market's policy, and the odds claim fails without it."""

import pytest

from scenarios.result import EXIT_CLAIM
from scenarios.scripts.flash_crowd import ODDS_NAME
from tests.scenarios.whole_runs import assert_every_claim_holds, assert_every_claim_holds_in_real_time, play, verdicts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_claim_holds_in_virtual_time(tmp_path, seed):
    assert_every_claim_holds(play("flash-crowd", tmp_path / "run", seed=seed))


def test_the_odds_stay_away_from_the_requests_when_servers_do_not_follow_them(tmp_path):
    result = play("flash-crowd", tmp_path / "run", policy="fixed")
    assert verdicts(result)[ODDS_NAME] is False
    assert result.status == EXIT_CLAIM


def test_bursts_duplicates_and_a_slow_link_change_no_byte_and_no_credit(tmp_path):
    line = "delay 30ms 10ms distribution normal loss gemodel 1% 20% duplicate 1% rate 8mbit"
    result = play("flash-crowd", tmp_path / "run", impair=line, nodes=12, duration_s=25)
    assert result.certificate.valid
    assert all(claim.ok for claim in result.claims[:5])
    assert result.certificate.conservation.copies > 0


def test_every_claim_holds_on_real_sockets(tmp_path):
    assert_every_claim_holds_in_real_time(play("flash-crowd", tmp_path / "run", time="real"))
