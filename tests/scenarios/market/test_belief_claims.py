"""Servers with beliefs of their own: the claims hold for odds that follow these beliefs, and fail for others."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from netem.clock import S
from netem.errors import ConfigError
from netem.randomness import keyed_generator
from scenarios.claims import Record, Trace
from scenarios.control import Cast
from scenarios.market.belief_claims import NAMES, belief_claims
from scenarios.market.crowd import zipf_shares
from scenarios.market.events import CrowdLeft
from scenarios.scripts.beliefs import Params, drawn_beliefs
from scenarios.solvers.response import respond
from tests.scenarios.whole_runs import assert_every_claim_holds, assert_every_claim_holds_in_real_time, play
from tracker.events import BoardPosted

SERVERS, FILES, BOARDS = 12, 6, 70
P = zipf_shares(FILES, 1.5)


def drawn(noise):
    prior = np.tile(P, 2).tolist()
    kinds = [Cast(beliefs="heterogeneous", prior=prior, noise=noise)] * SERVERS + [
        Cast(beliefs="given", prior=prior)
    ] * SERVERS
    return drawn_beliefs(kinds, run_seed=1)


def record_of(*, believed=None, boards=BOARDS, seed=7, **values):
    """Play both markets with servers that really believe `believed` (by default, what they drew), and return the record."""
    beliefs = drawn(1.0)
    chance = keyed_generator(seed, "test")
    rates = chance.uniform(10_000, 20_000, (boards, 2 * SERVERS))
    start = np.kron(np.eye(2), np.full((SERVERS, FILES), 1 / FILES))
    markets = []
    for number in range(2):
        servers, files = (slice(number * size, (number + 1) * size) for size in (SERVERS, FILES))
        heard, told = (chance.random((1, boards, SERVERS)) >= 0.05 for _ in range(2))
        real = (beliefs if believed is None else believed)[servers, files]
        late = np.zeros((1, SERVERS), dtype=bool)
        markets.append(
            respond(real, start[servers, files], rates[:, servers], heard=heard, told=told, late=late)[0] / 2
        )
    trace = Trace()
    for board, odds in enumerate(np.hstack(markets).tolist(), 1):
        trace.fold(board * S, BoardPosted(board, odds, odds, 32))
    trace.fold((boards + 1) * S, CrowdLeft())
    facts = {
        "popularity": P,
        "beliefs": [beliefs[:SERVERS, :FILES], beliefs[SERVERS:, FILES:]],
        "budgets": dict(enumerate(rates.tolist(), 1)),
        "start": start,
    }
    params = msgspec.structs.replace(Params(), **values)
    return Record(params=params, trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})


def verdicts(record):
    return {claim.name: claim.ok for claim in belief_claims(record)}


@pytest.mark.parametrize("seed", range(5))
def test_odds_that_follow_the_beliefs_hold_every_claim(seed):
    assert verdicts(record_of(seed=seed)) == dict.fromkeys(NAMES.values(), True)


def test_diverse_beliefs_favour_long_shots_or_not_by_what_was_drawn_and_common_ones_never():
    claims = {claim.name: claim for claim in belief_claims(record_of())}
    assert abs(claims[NAMES["bias"]].predicted) > 5 * claims[NAMES["bias"]].tolerance
    assert abs(claims[NAMES["none"]].predicted) < 0.01


def test_servers_that_share_one_belief_fail_where_others_were_drawn():
    broken = verdicts(record_of(believed=drawn(0.0)))
    assert not any(broken[NAMES[key]] for key in ("way", "limit", "bias"))
    assert broken[NAMES["none"]]


def test_servers_that_disagree_where_all_know_the_truth_fail():
    believed = drawn(1.0)
    believed[SERVERS:, FILES:] = believed[:SERVERS, :FILES]
    broken = verdicts(record_of(believed=believed))
    assert broken[NAMES["none"]] is False
    assert broken[NAMES["way"]] is True


def test_too_few_boards_are_too_little_data():
    claims = belief_claims(record_of(boards=20))
    assert {claim.ok for claim in claims} == {False}
    assert all("too little data" in claim.note for claim in claims)


@pytest.mark.parametrize(
    "values",
    [{"policy": "price_taker"}, {"turns": "random:0.2"}, {"beliefs": "learned"}, {"keep_files": 2}, {"zipf": 0.0}],
)
def test_what_the_user_switched_off_is_left_unjudged(values):
    claims = belief_claims(record_of(**values))
    assert [claim.name for claim in claims] == list(NAMES.values())
    assert {claim.ok for claim in claims} == {None}
    assert all(claim.note for claim in claims)


def test_beliefs_are_drawn_as_nodes_draw_them():
    beliefs = drawn(1.0)
    np.testing.assert_allclose(beliefs.sum(axis=1), 1.0)
    np.testing.assert_allclose(beliefs[SERVERS:, FILES:] * 2, np.tile(P, (SERVERS, 1)))
    assert len(np.unique(beliefs[:SERVERS, 0])) == SERVERS


def test_markets_that_leave_nobody_to_ask_are_refused():
    with pytest.raises(ConfigError, match="servers_share"):
        Params(servers_share=0.99)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_every_claim_holds_in_virtual_time(tmp_path, seed):
    assert_every_claim_holds(play("beliefs", tmp_path / "run", seed=seed))


@pytest.mark.slow
def test_every_claim_holds_on_real_sockets(tmp_path):
    assert_every_claim_holds_in_real_time(play("beliefs", tmp_path / "run", time="real"))
