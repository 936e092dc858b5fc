"""The laws of free riding, against sums, integrals and simulated markets of their own."""

import math

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm, poisson

from scenarios.market.riding import granted_law, refused_law


@pytest.mark.parametrize(("asked", "most"), [(12.0, 6), (3.0, 2), (2.0, 9), (40.0, 1), (5.0, 0)])
def test_files_granted_have_the_moments_of_a_capped_poisson_number(asked, most):
    counts = np.arange(400)
    chances = poisson.pmf(counts, asked)
    granted = np.minimum(counts, most)
    mean = float(granted @ chances)
    assert granted_law(asked, most) == pytest.approx((mean, float((granted - mean) ** 2 @ chances)), abs=1e-9)


def test_free_files_are_granted_as_often_as_they_are_asked_for():
    assert granted_law(7.5, math.inf) == (7.5, 7.5)


@pytest.mark.parametrize(("variance", "spare"), [(13.0, 5.0), (13.0, 9.0), (2.0, 4.0), (50.0, 15.0)])
def test_refusals_solve_their_equation_with_the_moments_of_a_folded_normal(variance, spare):
    density = norm(scale=math.sqrt(variance)).pdf
    mean, square = refused_law(variance, spare)
    level = spare - 1 - mean
    assert level > 0
    moments = [
        integrate.quad(lambda x, power=power: 2 * (x - level) ** power * density(x), level, 80)[0] for power in (1, 2)
    ]
    assert (mean, square) == pytest.approx(moments, rel=1e-6)


def test_who_can_advance_nothing_is_refused_as_much_as_chance_asks_beyond_its_income():
    assert refused_law(9.0, -3.0) == refused_law(9.0, 1.0) == pytest.approx((3 * math.sqrt(2 / math.pi), 9.0))


@pytest.mark.parametrize("spare", [2, 4, 6])
def test_the_bound_holds_for_servers_who_share_what_they_all_pay(spare):
    """Each of 10 servers pays a fee for each of its wishes if it can; every fee goes to 5 of them, in equal parts."""
    rng = np.random.default_rng(1)
    servers, markets, asked, receivers = 10, 60, 12, 5
    refused = np.zeros((markets, servers))
    for market in range(markets):
        balances = np.full(servers, float(spare))
        for buyer in rng.integers(servers, size=rng.poisson(servers * asked)):
            if balances[buyer] < 1:
                refused[market, buyer] += 1
                continue
            balances[buyer] -= 1
            balances[rng.permutation(servers)[:receivers]] += 1 / receivers
    mean, square = refused_law(asked + asked / receivers, spare)
    assert 0 < refused.mean() <= mean + 4 * math.sqrt(square / (markets * servers))
    assert refused.mean() > mean / 6  # else it would be no more than a bound
