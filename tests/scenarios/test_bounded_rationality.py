"""Servers of bounded rationality: the claims hold for the paper's process and fail for others; one short run plays it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from netem.errors import ConfigError
from netem.randomness import keyed_generator
from scenarios.claims import Record, Trace
from scenarios.content import Shared
from scenarios.market.urn_claims import (
    BIAS_NAME,
    CHOICES_NAME,
    HEARD_NAME,
    AllArrived,
    ServerArrived,
    groups_of,
    urn_claims,
)
from scenarios.scripts.bounded_rationality import Params, copies
from tests.scenarios.whole_runs import assert_every_claim_holds, assert_every_claim_holds_in_real_time, play
from tracker.events import BoardPosted

LARGE = {"nodes": 600}  # twenty urns for each α


def by_the_paper(alpha, share, params):
    return alpha * params.p + (1 - alpha) * share


def record_of(chance_of_a=by_the_paper, *, seed=1, heard_off=0.0, **values):
    """Play urns by a rule, and return the record of odds that show them."""
    params = msgspec.structs.replace(Params(), **values)
    chance = keyed_generator(seed, "test")
    alphas, trace, shares = params.shares_rational(), Trace(), []
    for urn in range(params.urns()):
        alpha, serving, size = alphas[urn % len(alphas)], params.start_a, params.start_a + params.start_b
        for number in range(params.arrivals):
            chose = bool(chance.random() < chance_of_a(alpha, serving / size, params))
            trace.fold(number, ServerArrived(urn, number, False, serving / size + heard_off, chose))
            serving, size = serving + chose, size + 1
        shares += [serving / size / params.urns(), (1 - serving / size) / params.urns()]
    trace.fold(100, BoardPosted(7, shares, shares, params.nodes))
    trace.fold(100, AllArrived(7))
    return Record(params=params, trace=trace, started_ns=0, certificate=None, facts={}, ledger_ok={})


def verdicts(record):
    return {claim.name: claim.ok for claim in urn_claims(record)}


@pytest.mark.parametrize("seed", range(5))
def test_the_papers_process_holds_every_claim(seed):
    assert set(verdicts(record_of(seed=seed, **LARGE)).values()) == {True}


def test_servers_that_take_p_for_its_opposite_fail_the_choices_the_means_and_the_bias():
    broken = verdicts(record_of(lambda alpha, share, params: alpha * (1 - params.p) + (1 - alpha) * share, **LARGE))
    assert not any(
        broken[name] for name in (CHOICES_NAME, BIAS_NAME, *[n for n in broken if n.startswith("α = 1: mean")])
    )
    assert broken["α = 0: mean of π after 8 arrivals"]


def test_imitators_that_toss_a_coin_have_too_little_spread_which_their_mean_does_not_show():
    assert Params().start_a == Params().start_b
    claims = verdicts(record_of(lambda *_: 0.5, alphas="0", **LARGE))
    assert claims["α = 0: spread of π between urns (rms)"] is False
    assert claims["α = 0: mean of π after 8 arrivals"] is True


def test_rational_servers_that_imitate_have_too_much_spread():
    claims = verdicts(record_of(lambda _alpha, share, _params: share, **LARGE))
    assert claims["α = 1: spread of π between urns (rms)"] is False
    assert claims["α = 1: mean of π after 8 arrivals"] is False


def test_odds_that_do_not_show_the_last_arrival_fail():
    assert verdicts(record_of(heard_off=1e-4))[HEARD_NAME] is False


def test_a_show_that_ends_too_early_is_too_little_data():
    record = record_of()
    trace = Trace({kind: events for kind, events in record.trace.by_type.items() if kind is not AllArrived})
    claims = urn_claims(replace(record, trace=trace))
    assert [claim.name for claim in claims] == [claim.name for claim in urn_claims(record)]
    assert {claim.ok for claim in claims} == {False}
    assert all("too little data" in claim.note for claim in claims)


def test_urns_of_an_alpha_are_samples_of_its_process():
    record = record_of(alphas="0.25,1", start_a=2, start_b=1, arrivals=4, nodes=50)
    quarter, rational = groups_of(record)
    assert (quarter.urn.alpha, rational.urn.alpha, quarter.urn.a, quarter.urn.b) == (0.25, 1.0, 2, 1)
    assert quarter.shares.shape == rational.counted.shape == (3, 5)
    np.testing.assert_allclose(quarter.shares, quarter.counted)


def test_certain_choices_need_no_tolerance():
    claims = urn_claims(record_of(p=1.0, alphas="1"))
    assert {claim.ok for claim in claims} == {True}
    wrong = verdicts(record_of(lambda *_: 0.0, p=1.0, alphas="1"))
    assert not wrong[CHOICES_NAME]
    assert not wrong[BIAS_NAME]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"alphas": "0.5,2"}, "alphas"),
        ({"alphas": "half"}, "alphas"),
        ({"alphas": "1,1"}, "alphas"),
        ({"nodes": 59}, "nodes"),
    ],
)
def test_urns_that_make_no_sense_are_refused(values, field):
    with pytest.raises(ConfigError) as refused:
        Params(**values)
    assert refused.value.field == field


def test_too_few_files_are_published_again_under_other_names(tmp_path):
    few = [Shared(name, tmp_path / name, size_bytes) for name, size_bytes in (("a", 1), ("b", 2), ("c", 3))]
    files = copies(few, 8)
    assert [file.name for file in files] == ["a", "b", "c", "a (2)", "b (2)", "c (2)", "a (3)", "b (3)"]
    assert files[3] == Shared("a (2)", tmp_path / "a", 1)
    assert copies(few, 2) == few[:2]


def test_a_short_run_plays_urns_side_by_side(tmp_path, content):
    assert_every_claim_holds(
        play(
            "bounded-rationality",
            tmp_path / "run",
            content=content,
            nodes=20,
            arrivals=3,
            alphas="0,1",
            crowd_bytes_per_s=2e6,
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_every_claim_holds_in_virtual_time(tmp_path, seed):
    assert_every_claim_holds(play("bounded-rationality", tmp_path / "run", seed=seed))


@pytest.mark.slow
def test_every_claim_holds_on_real_sockets(tmp_path):
    assert_every_claim_holds_in_real_time(play("bounded-rationality", tmp_path / "run", time="real"))
