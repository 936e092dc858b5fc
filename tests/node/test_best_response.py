"""The exact best response against SLSQP, exact first-order conditions and deviations; what bids earn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from netem.randomness import keyed_generator
from node.best_response import best_response, best_responses, others, regrets, replies, shares

SIZES = [(1, 1), (2, 1), (2, 3), (5, 4), (7, 20)]


def earned(weights, bids, against):
    return float((weights * bids / (bids + against)).sum())


def slsqp(weights, against, budget):
    size = len(weights)
    found = optimize.minimize(
        lambda x: -earned(weights, x, against),
        np.full(size, budget / size),
        jac=lambda x: -weights * against / (x + against) ** 2,
        bounds=[(0.0, None)] * size,
        constraints={"type": "eq", "fun": lambda x: x.sum() - budget, "jac": lambda x: np.ones(size)},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-13},
    )
    return -found.fun


@pytest.mark.parametrize("files", [1, 2, 3, 10])
@pytest.mark.parametrize("budget", [0.01, 1.0, 100.0])
def test_nothing_that_slsqp_finds_earns_more(files, budget):
    chance = keyed_generator(1, "best response", files)
    weights, against = chance.dirichlet(np.ones(files)), chance.uniform(0.1, 2.0, files)
    bids = best_response(weights, against, budget)
    best = earned(weights, bids, against)
    assert bids.sum() == pytest.approx(budget, rel=1e-12)
    assert slsqp(weights, against, budget) == pytest.approx(best, rel=1e-6)
    assert slsqp(weights, against, budget) <= best * (1 + 1e-9)


def test_a_case_by_hand_in_fractions():
    # y = (1, 4), w = (1, 1), B = 1: s = (1, 2), all of it on the first file while t = 2 gives 2 * 2 - 4 = 0 on the second.
    assert best_response(np.ones(2), np.array([1.0, 4.0]), 1.0).tolist() == [1.0, 0.0]
    # B = 4: t = (4 + 5) / 3 = 3, bids 3 * 1 - 1 and 3 * 2 - 4.
    assert best_response(np.ones(2), np.array([1.0, 4.0]), 4.0).tolist() == [2.0, 2.0]
    marginal = [Fraction(y, (x + y) ** 2) for x, y in ((2, 1), (2, 4))]
    assert marginal[0] == marginal[1]


@given(
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda w: max(w) > 1e-6),
    budget=st.floats(1e-6, 1e6),
    seed=st.integers(0, 10**6),
)
@settings(deadline=None, max_examples=150)
def test_no_shift_between_two_files_earns_more(weights, budget, seed):
    chance = keyed_generator(seed, "shift")
    w = np.array(weights)
    against = 10 ** chance.uniform(-6, 6, len(w))
    bids = best_response(w, against, budget)
    assert (bids >= 0).all()
    assert bids.sum() == pytest.approx(budget, rel=1e-9)
    marginal = w * against / (bids + against) ** 2
    # Where something is bid the marginal earnings are the largest there are; the allowance is what a bid that is rounded to the
    # digits of the sum it stands in can change them by.
    if (bids > 1e-9 * against).any():
        spent = bids > 1e-9 * against
        assert marginal[spent].min() >= marginal.max() * (1 - 1e-5)


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e300])
def test_the_scale_of_the_beliefs_is_nothing_to_the_answer(scale):
    against, alike = np.array([1e-6, 3e-6]), np.array([1.0, 1.0])
    expected = best_response(alike, against, 2e-6)
    assert best_response(alike * scale, against, 2e-6) == pytest.approx(expected)
    assert replies(alike[None] * scale, against[None], np.array([2e-6]))[0] == pytest.approx(expected)


def test_a_file_on_which_nobody_else_bids_costs_nothing():
    bids = best_response(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 1.0)
    assert 0.0 < bids[0] < 1e-20
    assert bids[1] == pytest.approx(1.0)


@pytest.mark.parametrize(("servers", "files"), SIZES)
def test_all_at_once_is_one_by_one(servers, files):
    chance = keyed_generator(2, "at once", servers, files)
    beliefs, budgets = chance.dirichlet(np.ones(files), servers), chance.uniform(0.1, 3.0, servers)
    bids = chance.dirichlet(np.ones(files), servers) * budgets[:, None]
    together = best_responses(beliefs, bids, budgets)
    for i in range(servers):
        alone = best_response(beliefs[i], np.delete(bids, i, axis=0).sum(axis=0), float(budgets[i]))
        np.testing.assert_allclose(together[i], alone, rtol=1e-9, atol=1e-14)


def test_what_the_others_bid_keeps_its_digits():
    bids = np.array([[1e6, 1.0], [1e-12, 2.0], [3e-12, 4.0]])
    assert others(bids).tolist() == [[4e-12, 6.0], [1e6, 5.0], [1e6, 3.0]]
    assert others(np.array([[1.0, 0.0]])).tolist() == [[0.0, 0.0]]


def test_shares_of_a_file_without_bids_are_zero():
    assert shares(np.array([[1.0, 0.0], [3.0, 0.0]])).tolist() == [[0.25, 0.0], [0.75, 0.0]]


def test_regret_is_what_a_better_bid_would_bring():
    beliefs, budgets = np.array([[1.0, 0.0], [0.5, 0.5]]), np.ones(2)
    found = regrets(beliefs, np.array([[1.0, 0.0], [1.0, 0.0]]), budgets)
    # Server 0 does best; server 1 has 1/4 and could have the second file whole for nothing besides: 3/4.
    assert found.tolist() == pytest.approx([0.0, 2 / 3])


def test_in_an_equilibrium_nobody_has_regrets_and_after_a_shift_somebody_has():
    p, budgets = np.array([0.5, 0.3, 0.2]), np.array([1.0, 2.0, 0.5])
    bids = p * budgets[:, None]
    beliefs = np.tile(p, (3, 1))
    assert regrets(beliefs, bids, budgets).max() <= 1e-14
    bids[0] += np.array([0.1, -0.1, 0.0])
    assert regrets(beliefs, bids, budgets).max() > 1e-4
