"""Tracking's own claims: they hold for odds that relax as predicted, and fail for others; what makes no sense is refused."""

import re

import msgspec
import numpy as np
import pytest

from netem.clock import S
from scenarios.claims import Record, Trace
from scenarios.market.crowd import zipf_shares
from scenarios.market.events import CrowdLeft
from scenarios.market.tracking_claims import PopularityShifted, tracking_claims
from scenarios.market.tracking_model import MARKETS, answered, not_assumed
from scenarios.scripts import tracking
from scenarios.scripts.tracking import Params
from scenarios.solvers.relaxation import ages, relax
from tracker.events import BoardPosted

OLD = zipf_shares(2, 2.0)
NEW = OLD[::-1]
SHIFT_S, BOARDS, AFTER = 15.0, 50, 35
CALM, BACK, SPREAD, FRESH, LOSSY, DEAF = range(6)


def way(heard):
    late = ages(board_s=1.0, heartbeat_s=1.0, delay_s=0.055, loss=0.05)
    return relax(OLD, NEW, heard=heard, ages=late, boards=AFTER, damping=0.5).odds


def still(odds=OLD):
    return np.tile(odds, (AFTER, 1))


def judged(*, fresh=None, lossy=None, deaf=None, before=OLD, boards=BOARDS, proven=(1.0, 1.0, 1.0), **params):
    """Judge a run with these odds within each market after the shift, a board each second and the shift between two."""
    after = [
        way(0.95) if fresh is None else fresh,
        way(0.475) if lossy is None else lossy,
        still() if deaf is None else deaf,
    ]
    trace = Trace()
    for number in range(boards):
        back = number - (BOARDS - AFTER)
        odds = [before if back < 0 else market[back] for market in after]
        shares = [share / 3 for market in odds for share in market]
        trace.fold(number * S, BoardPosted(number, shares, shares, 72))
        if back == -1:
            trace.fold(round((number + 0.6) * S), PopularityShifted([share / 3 for _ in range(3) for share in NEW]))
    trace.fold(boards * S, CrowdLeft())
    facts = {"old": OLD, "new": NEW, "proven_bytes_per_s": [list(proven)] * 3}
    params = msgspec.structs.replace(Params(), **params)
    record = Record(params=params, trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})
    return tracking_claims(record)


def verdicts(**changes):
    return [claim.ok for claim in judged(**changes)]


def test_odds_that_relax_as_predicted_hold_every_claim():
    claims = judged()
    assert [claim.ok for claim in claims] == [True] * 6
    # From 0.6 s after a board: 0.4 s to the next, then 2.6 and 7 boards.
    assert claims[FRESH].measured == pytest.approx(3.0, abs=0.1)
    assert claims[LOSSY].measured == pytest.approx(7.4, abs=0.1)
    for index in (FRESH, LOSSY):
        assert claims[index].predicted == pytest.approx(claims[index].measured, abs=0.05)
    assert claims[DEAF].predicted == pytest.approx(0.6)


def test_odds_that_stay_fail_what_they_should_have_done():
    assert verdicts(fresh=still()) == [True, False, False, False, True, True]
    assert verdicts(lossy=still()) == [True, True, True, True, False, True]


def test_odds_that_come_back_without_a_board_fail():
    assert verdicts(deaf=way(0.95)) == [True, True, True, True, True, False]


def test_each_market_must_take_its_own_time():
    assert verdicts(fresh=way(0.475))[FRESH] is False
    assert verdicts(lossy=way(0.95))[LOSSY] is False
    assert verdicts(fresh=np.concatenate([still()[:1], way(0.95)[:-1]]))[FRESH] is False  # a board late


def test_odds_that_were_elsewhere_before_the_shift_fail():
    assert verdicts(before=np.array([0.7, 0.3]))[CALM] is False


def test_ratios_that_differ_fail_beyond_the_noise_of_rates():
    off = np.array([0.15, 0.85])
    near = np.concatenate([way(0.95)[:15], np.tile(off, (AFTER - 15, 1))])
    assert verdicts(fresh=near) == [True, False, False, True, True, True]
    noisy = judged(fresh=near, proven=(1.0, 2.0, 3.0))
    assert [claim.ok for claim in noisy] == [True] * 6
    assert noisy[BACK].tolerance > judged(fresh=near, proven=(1.0, 1.1, 1.2))[BACK].tolerance


def test_too_few_boards_are_too_little_data():
    claims = judged(boards=BOARDS - 6)
    assert [claim.ok for claim in claims] == [False] * 6
    assert all("too little data" in claim.note for claim in claims)


def test_a_time_beyond_the_run_is_too_little_data():
    claims = judged(odds_loss=0.7, near=0.001)
    assert claims[LOSSY].ok is False
    assert "too little data" in claims[LOSSY].note


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"policy": "price_taker"}, "price_taker"),
        ({"beliefs": "learned"}, "learned"),
        ({"beliefs": "bernoulli"}, "bernoulli"),
        ({"turns": "once"}, "turns"),
        ({"turns": "damped:0.5"}, "turns"),
        ({"keep_files": 1}, "downloads"),
        ({"topology": "t.toml"}, "topology"),
        ({"shift_s": 50.0}, "after the run"),
        ({"shift_s": 2.0}, "settle"),
        ({"board_interval_s": 5.0}, "settle"),
    ],
)
def test_what_the_predictions_rest_on_is_named_when_it_is_switched_off(params, why):
    claims = judged(**params)
    assert [claim.ok for claim in claims] == [None] * 6
    assert all(why in claim.note for claim in claims)


@pytest.mark.parametrize(
    ("nodes", "share", "each"), [(72, 5 / 6, 20), (15, 0.8, 4), (9, 0.99, 2), (12, 0.01, 1), (3, 5 / 6, 1)]
)
def test_every_market_has_a_server_and_somebody_asks_if_there_are_nodes_enough(nodes, share, each):
    assert Params(nodes=nodes, servers_share=share).market_servers() == each


@pytest.mark.parametrize(
    ("setting", "field"),
    [("rotate=2", "rotate"), ("near=0.7", "near"), ("zipf=0", "rotate"), ("odds_loss=0.8", "odds_loss")],
)
def test_a_shift_that_is_none_is_refused_before_anything_runs(swarmbed, setting, field):
    outcome = swarmbed("run", "tracking", "--time", "virtual", "--quiet", "--set", setting)
    assert outcome.status == 2
    assert re.match(rf"swarmbed: {field}: .+ is not allowed; allowed: .+", outcome.err)


def test_content_for_less_than_a_file_in_each_market_is_refused(swarmbed, tmp_path):
    for number in range(2):
        (tmp_path / str(number)).write_bytes(bytes([number]))
    outcome = swarmbed("run", "tracking", "--time", "virtual", "--quiet", "--content", tmp_path)
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: --content: 2 is not allowed; allowed: ")


def test_what_is_lost_and_whose_turn_it_is_not_is_not_answered():
    params = Params(loss=0.1, odds_loss=0.5, turns="random:0.4")
    assert [answered(params, market) for market in MARKETS] == pytest.approx([0.36, 0.18, 0.0])


def test_one_file_in_each_market_cannot_shift():
    assert "one file" in not_assumed(Params(), files=1)
    assert not_assumed(Params(), files=2) == ""


def test_the_scenario_says_what_it_asks():
    assert "Question:" in tracking.__doc__
    assert "huberman-wu" in tracking.__doc__
