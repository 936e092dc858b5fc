"""Odds of servers that respond by beliefs of their own: the policy's own step, the consensus in the end, and what losses do."""

from __future__ import annotations

import numpy as np
import pytest

from netem.randomness import keyed_generator
from node.policies.proportional_response import ProportionalResponse
from scenarios.market.belief_claims import consensus
from scenarios.market.theory import total_variation
from scenarios.solvers.response import respond, step

SERVERS, FILES = 6, 5


def market(noise=1.0, seed=1):
    """Return p, p_ij and B_i."""
    chance = keyed_generator(seed, "market")
    p = np.arange(1, FILES + 1) ** -1.5
    beliefs = p * np.exp(noise * chance.standard_normal((SERVERS, FILES)))
    return p / p.sum(), beliefs / beliefs.sum(axis=1, keepdims=True), chance.uniform(0.5, 2.0, SERVERS)


def played(boards, *, noise=1.0, loss=0.0, late=0.0, runs=1):
    _, beliefs, budgets = market(noise)
    chance = keyed_generator(2, "losses")
    heard, told = (chance.random((runs, boards, SERVERS)) >= loss for _ in range(2))
    return respond(
        beliefs,
        np.full((SERVERS, FILES), 1 / FILES),
        np.tile(budgets, (boards, 1)),
        heard=heard,
        told=told,
        late=chance.random((runs, SERVERS)) < late,
    )


def test_a_step_is_the_policys():
    _, beliefs, _ = market()
    own = np.maximum(keyed_generator(3, "own").dirichlet(np.full(FILES, 0.1), SERVERS), 1e-4)  # some near the floor
    own /= own.sum(axis=1, keepdims=True)
    odds = own.mean(axis=0)
    for i in range(SERVERS):
        split = ProportionalResponse().split(
            held=range(FILES), odds=odds, beliefs=beliefs[i], own=dict(enumerate(own[i].tolist()))
        )
        np.testing.assert_allclose(step(beliefs, own, odds)[i], list(split.values()), rtol=1e-9, atol=1e-12)


def test_the_odds_end_at_the_consensus_up_to_the_floor_of_the_shares_and_not_soon():
    _, beliefs, budgets = market()
    end = consensus(beliefs, budgets)
    odds = played(3_000)[0]
    assert total_variation(odds[-1], end) < 1e-3
    assert total_variation(odds[5], end) > 0.01


def test_common_beliefs_end_at_the_requests_whatever_the_bandwidths():
    p, *_ = market()
    np.testing.assert_allclose(played(60, noise=0.0)[0, -1], p, rtol=1e-6)


def test_lost_boards_and_late_heartbeats_delay_and_change_no_end():
    _, beliefs, budgets = market()
    end = consensus(beliefs, budgets)
    exact, lossy, late = played(5), played(2_000, loss=0.3, runs=2), played(2_000, late=1.0)
    assert total_variation(lossy[1, -1], end) < 1e-3
    assert total_variation(late[0, -1], end) < 1e-3
    np.testing.assert_allclose(late[0, 1], exact[0, 0])  # what was decided on the first board is shown by the third
    np.testing.assert_allclose(late[0, 2], exact[0, 1])
    assert not np.allclose(lossy[0, 10], lossy[1, 10])


@pytest.mark.parametrize("lost", ["heard", "told"])
def test_who_hears_or_says_nothing_keeps_the_odds_as_they_are(lost):
    _, beliefs, budgets = market()
    shape = 1, 10, SERVERS
    reached = {name: np.full(shape, name != lost) for name in ("heard", "told")}
    start = np.full((SERVERS, FILES), 1 / FILES)
    odds = respond(beliefs, start, np.tile(budgets, (10, 1)), **reached, late=np.zeros((1, SERVERS), dtype=bool))
    np.testing.assert_allclose(odds, 1 / FILES)
