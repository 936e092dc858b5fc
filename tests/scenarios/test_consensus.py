"""The Eisenberg-Gale consensus: optimality conditions, duality, an independent solver, and when bids are unique."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from netem.randomness import keyed_generator
from scenarios.solvers import equilibrium
from scenarios.solvers.consensus import solve

PRICE_TOLERANCE = 1e-7


def supported(beliefs, budgets, prices):
    """Say by a linear programme whether bids on best files only can spend all budgets and sum to the prices."""
    ratios = np.where(prices > 0, beliefs / np.where(prices > 0, prices, 1.0), 0.0)
    best = np.argwhere(ratios >= ratios.max(axis=1, keepdims=True) * (1 - PRICE_TOLERANCE))
    servers, files = best.T
    rows = np.zeros((len(budgets) + len(prices), len(best)))
    rows[servers, np.arange(len(best))] = 1.0
    rows[len(budgets) + files, np.arange(len(best))] = 1.0
    slack = np.hstack([rows, np.eye(len(rows)), -np.eye(len(rows))])
    cost = np.concatenate([np.zeros(len(best)), np.ones(2 * len(rows))])
    found = optimize.linprog(cost, A_eq=slack, b_eq=np.concatenate([budgets, prices]))
    return found.fun <= PRICE_TOLERANCE * budgets.sum()


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    zeros=st.sampled_from([0.0, 0.5]),
    spread=st.sampled_from([0.0, 1.0]),
)
@settings(deadline=None, max_examples=40)
def test_prices_are_supported_by_bids_on_best_files(seed, shape, zeros, spread):
    chance = keyed_generator(seed, "consensus")
    beliefs = chance.dirichlet(np.ones(shape[1]), shape[0]) * (chance.random(shape) >= zeros)
    beliefs[:, 0] += 1e-3
    budgets = 10 ** chance.uniform(-spread, spread, shape[0])
    found = solve(beliefs, budgets)
    assert found.prices.sum() == pytest.approx(budgets.sum())
    assert found.gap <= 1e-10
    assert supported(beliefs, budgets, found.prices)


def test_the_objective_is_what_slsqp_maximises():
    chance = keyed_generator(7, "objective")
    beliefs, budgets = chance.dirichlet(np.ones(3), 4), np.array([1.0, 2.0, 0.5, 1.5])

    def negative(x):
        return -float(budgets @ np.log((beliefs * x.reshape(4, 3)).sum(axis=1)))

    whole = {"type": "eq", "fun": lambda x: x.reshape(4, 3).sum(axis=0) - 1.0}
    best = optimize.minimize(
        negative,
        np.full(12, 0.25),
        bounds=[(1e-9, 1.0)] * 12,
        constraints=whole,
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    assert best.success
    assert solve(beliefs, budgets).objective == pytest.approx(-best.fun, abs=1e-6)


def test_with_common_beliefs_odds_are_the_beliefs():
    p, budgets = np.array([0.6, 0.3, 0.1]), np.array([1.0, 1e-6, 1e6])
    found = solve(np.tile(p, (3, 1)), budgets)
    np.testing.assert_allclose(found.prices / budgets.sum(), p, rtol=1e-9)
    assert not found.bids_unique
    assert found.objective == pytest.approx(sum(b * math.log(b / budgets.sum()) for b in budgets))


def test_by_hand_a_server_that_divides_its_budget():
    # Server 0 wants file 0 only and pays 1; server 1 likes both alike and makes up the difference: prices 1.5 each.
    found = solve(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1.0, 2.0]))
    assert found.prices.tolist() == pytest.approx([1.5, 1.5], rel=1e-12)
    assert found.bids_unique
    assert found.objective == pytest.approx(math.log(2 / 3) + 2 * math.log(0.5 / 3 + 0.5))


@pytest.mark.parametrize(
    ("beliefs", "budgets", "unique"),
    [
        ([[1.0]], [1.0], True),
        ([[1.0], [1.0]], [1.0, 3.0], True),
        ([[0.3, 0.7]], [1.0], True),
        ([[0.3, 0.7], [0.3, 0.7]], [1.0, 1.0], False),
        ([[0.3, 0.7], [0.6, 1.4]], [1.0, 1.0], False),
        ([[0.3, 0.7], [0.3001, 0.7]], [1.0, 1.0], True),
        ([[0.3, 0.7], [0.3 + 1e-9, 0.7]], [1.0, 1.0], True),
        ([[0.1, 0.2, 0.7], [0.2, 0.4, 1.4], [0.3, 0.6, 2.1]], [1.0, 5.0, 2.0], False),
        # A tie that the budgets leave nothing for: server 0 likes both files alike and needs all of the first.
        ([[0.5, 0.5], [0.0, 1.0]], [1.0, 1.0], True),
        # Two equal servers, and a third that is alone with the third file.
        ([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], [1.0, 1.0, 1.0], False),
    ],
)
def test_bids_are_unique_unless_ties_form_a_circle(beliefs, budgets, unique):
    assert solve(np.array(beliefs), np.array(budgets)).bids_unique is unique


def test_a_file_that_nobody_wants_costs_nothing():
    found = solve(np.array([[0.5, 0.0], [0.5, 0.0]]), np.array([1.0, 2.0]))
    assert found.prices.tolist() == [3.0, 0.0]


def test_equilibria_of_more_and_smaller_servers_come_to_it_as_one_over_their_number():
    chance = keyed_generator(8, "replicas")
    beliefs = chance.dirichlet(np.ones(4), 3)
    limit = solve(beliefs, np.ones(3)).prices
    apart = []
    for copies in (8, 16, 32):
        bids = equilibrium.solve(np.tile(beliefs, (copies, 1)), np.full(3 * copies, 1 / copies)).bids
        apart.append(np.abs(bids.sum(axis=0) - limit).sum())
    assert apart[0] / apart[1] == pytest.approx(2.0, rel=0.2)
    assert apart[1] / apart[2] == pytest.approx(2.0, rel=0.1)


def test_budgets_twelve_decades_apart():
    chance = keyed_generator(9, "decades")
    found = solve(chance.dirichlet(np.ones(5), 6), 10.0 ** np.array([-6, -3, 0, 2, 4, 6]))
    assert found.gap <= 1e-10
