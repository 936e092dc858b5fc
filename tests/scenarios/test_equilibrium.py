"""The Nash equilibrium: certificates that do not use the solver's own best response, closed forms, and markets without one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from netem.randomness import keyed_generator
from scenarios.solvers.equilibrium import ACCURACY, NoEquilibrium, solve


def utility(beliefs, bids, server):
    totals = bids.sum(axis=0)
    return sum(p * b / t for p, b, t in zip(beliefs[server], bids[server], totals, strict=True) if t > 0)


def best_by_bisection(weights, against, budget):
    """Return the best utility with a bisection for the price of money, in plain Python: an independent solver."""

    def bids(price):
        return [max((w * y / price) ** 0.5 - y, 0.0) if w > 0 else 0.0 for w, y in zip(weights, against, strict=True)]

    free = sum(
        w for w, y in zip(weights, against, strict=True) if y == 0
    )  # whoever bids alone has all, for next to nothing
    if not any(w > 0 and y > 0 for w, y in zip(weights, against, strict=True)):
        return free
    low, high = 1e-30, 1e30
    for _ in range(300):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if sum(bids(middle)) > budget else (low, middle)
    found = bids(low)
    scale = budget / sum(found)  # beside rich rivals, differences of large numbers do not sum to the budget
    return free + sum(w * x / (x + y / scale) for w, x, y in zip(weights, found, against, strict=True) if x > 0)


def certify(beliefs, budgets):
    found = solve(beliefs, budgets)
    assert found.gap <= ACCURACY
    assert (found.bids >= 0).all()
    np.testing.assert_allclose(found.bids.sum(axis=1), budgets, rtol=1e-9)
    for i, budget in enumerate(budgets):
        against = np.delete(found.bids, i, axis=0).sum(axis=0)
        now, best = utility(beliefs, found.bids, i), best_by_bisection(beliefs[i], against, float(budget))
        assert best - now <= 2 * ACCURACY * best
    return found.bids


@pytest.mark.parametrize("spread", [0.0, 1.0, 6.0])
@pytest.mark.parametrize(("servers", "files"), [(2, 1), (2, 2), (2, 7), (3, 2), (6, 4), (20, 10)])
def test_random_markets_are_solved(servers, files, spread):
    chance = keyed_generator(3, "market", servers, files, str(spread))
    for concentration in (0.3, 1.0, 20.0):
        beliefs = chance.dirichlet(np.full(files, concentration), servers) + 1e-9
        certify(beliefs, 10 ** chance.uniform(-spread, spread, servers))


@given(seed=st.integers(0, 10**6), servers=st.integers(2, 6), files=st.integers(1, 6), zeros=st.floats(0, 0.7))
@settings(deadline=None, max_examples=40)
def test_a_market_is_solved_when_every_file_is_wanted_by_two(seed, servers, files, zeros):
    chance = keyed_generator(seed, "zeros")
    beliefs = chance.dirichlet(np.ones(files), servers) * (chance.random((servers, files)) >= zeros)
    for i in range(servers):
        beliefs[i, i % files] += 0.1
    for j in range(files):
        for i in range(2):
            beliefs[(i + j) % servers, j] += 0.05
    certify(beliefs, np.ones(servers))


def test_a_file_that_only_one_server_ends_up_serving_is_its_own():
    certify(np.array([[0.44, 0.0], [0.05, 0.6], [0.16, 0.99]]), np.ones(3))


@pytest.mark.parametrize("servers", [2, 3, 50])
def test_with_common_beliefs_everybody_bids_in_proportion_to_them(servers):
    p, budgets = np.array([0.6, 0.3, 0.1]), keyed_generator(4, "budgets", servers).uniform(0.01, 5.0, servers)
    bids = solve(np.tile(p, (servers, 1)), budgets).bids
    np.testing.assert_allclose(bids, p * budgets[:, None], rtol=1e-9)


def test_two_servers_against_the_first_order_conditions_solved_by_scipy():
    beliefs, budgets = np.array([[0.7, 0.3], [0.2, 0.8]]), np.array([1.0, 1.5])

    def conditions(x):
        a, b = x
        y = [(a, b), (1.0 - a, 1.5 - b)]
        totals = [sum(pair) for pair in y]
        return [
            beliefs[0, 0] * y[0][1] / totals[0] ** 2 - beliefs[0, 1] * y[1][1] / totals[1] ** 2,
            beliefs[1, 0] * y[0][0] / totals[0] ** 2 - beliefs[1, 1] * y[1][0] / totals[1] ** 2,
        ]

    root = optimize.root(conditions, [0.5, 0.5], tol=1e-13)
    assert root.success
    np.testing.assert_allclose(certify(beliefs, budgets)[:, 0], root.x, rtol=1e-8)


def test_the_scale_of_a_row_of_beliefs_does_not_matter():
    chance = keyed_generator(5, "scale")
    beliefs, budgets = chance.dirichlet(np.ones(4), 5), np.ones(5)
    scaled = beliefs * np.array([1.0, 10.0, 1e-6, 1e6, 3.0])[:, None]
    np.testing.assert_allclose(solve(beliefs, budgets).bids, solve(scaled, budgets).bids, rtol=1e-6, atol=1e-12)


def test_a_file_that_nobody_wants_gets_nothing():
    bids = certify(np.array([[0.5, 0.0, 0.5], [0.4, 0.0, 0.6]]), np.ones(2))
    assert (bids[:, 1] == 0).all()
    assert (bids[:, [0, 2]] > 0).all()


@pytest.mark.parametrize(
    ("beliefs", "file", "server"),
    [
        ([[1.0, 0.0], [0.5, 0.5]], 1, 1),
        ([[0.5, 0.5, 0.0], [0.3, 0.3, 0.4], [0.5, 0.5, 0.0]], 2, 1),
        ([[0.2, 0.4, 0.4], [0.0, 0.5, 0.5]], 0, 0),
    ],
)
def test_a_file_that_one_of_many_wants_leaves_no_equilibrium(beliefs, file, server):
    with pytest.raises(NoEquilibrium, match=f"file {file} is wanted by server {server} only"):
        solve(np.array(beliefs), np.ones(len(beliefs)))


@pytest.mark.parametrize("beliefs", [[[1.0]], [[0.2, 0.8]], [[1.0, 0.0], [0.0, 1.0]]])
def test_servers_without_any_rival_own_their_files(beliefs):
    found = solve(np.array(beliefs), np.full(len(beliefs), 2.0))
    assert found.gap <= 1e-15
    np.testing.assert_allclose(found.bids, 2.0 * np.array(beliefs))


def test_a_loner_beside_a_market_does_not_disturb_it():
    core = np.array([[0.7, 0.3], [0.2, 0.8]])
    beliefs = np.zeros((3, 3))
    beliefs[:2, :2], beliefs[2, 2] = core, 1.0
    np.testing.assert_allclose(solve(beliefs, np.ones(3)).bids[:2, :2], solve(core, np.ones(2)).bids, rtol=1e-9)


def test_nearly_torn_markets_are_solved_too():
    beliefs = np.array([[0.86, 0.04, 0.0], [0.04, 0.144, 0.816], [0.091, 0.678, 0.231], [0.0, 0.0, 0.165]])
    certify(beliefs, np.ones(4))
    certify(np.array([[1.0, 1e-9], [0.5, 0.5]]), np.ones(2))


def test_closely_tied_beliefs_of_a_hundred():
    chance = keyed_generator(6, "tied")
    beliefs = 1.0 / np.arange(1, 101) * chance.uniform(0.95, 1.05, (100, 100))
    assert solve(beliefs, np.ones(100)).gap <= 1e-12
