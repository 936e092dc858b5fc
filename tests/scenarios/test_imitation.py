"""The imitators' urn: the exact law against fractions, enumeration, closed forms and simulation; times too long to run."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from netem.randomness import keyed_generator
from scenarios.solvers import imitation
from scenarios.solvers.gamma import log_gamma_ratio
from scenarios.solvers.imitation import Urn, limit_of_uniform_beliefs

LEVELS = (0.05, 0.5, 0.95)


def enumerated(alpha, p, start, arrivals):
    """Return the law of K in fractions, summed over all sequences of arrivals."""
    law = dict.fromkeys(range(start[0], start[0] + arrivals + 1), Fraction(0))
    for sequence in itertools.product((0, 1), repeat=arrivals):
        chance, serving, size = Fraction(1), start[0], sum(start)
        for chosen in sequence:
            theta = alpha * p + (1 - alpha) * Fraction(serving, size)
            chance *= theta if chosen else 1 - theta
            serving, size = serving + chosen, size + 1
        law[serving] += chance
    return law


@pytest.mark.parametrize("alpha", [Fraction(0), Fraction(1, 7), Fraction(1, 2), Fraction(1)])
@pytest.mark.parametrize("p", [Fraction(0), Fraction(3, 10), Fraction(1)])
@pytest.mark.parametrize("start", [(1, 0), (0, 2), (1, 1), (3, 2)])
def test_the_law_is_that_of_all_sequences(alpha, p, start):
    arrivals = 6
    exact = enumerated(alpha, p, start, arrivals)
    urn = Urn(alpha=float(alpha), p=float(p), a=start[0], b=start[1])
    np.testing.assert_allclose(
        urn.laws([arrivals])[arrivals], [float(x) for x in exact.values()], rtol=1e-12, atol=1e-15
    )
    size = sum(start) + arrivals
    mean = sum(k * x for k, x in exact.items()) / size
    variance = sum(k * k * x for k, x in exact.items()) / size**2 - mean**2
    assert float(urn.mean(arrivals)) == pytest.approx(float(mean), rel=1e-12, abs=1e-15)
    assert urn.variance(arrivals) == pytest.approx(float(variance), rel=1e-11, abs=1e-15)
    cumulated = list(itertools.accumulate(exact.values()))
    for level, (share,) in zip(
        (Fraction(1, 20), Fraction(1, 2), Fraction(19, 20)), urn.quantiles([arrivals], LEVELS), strict=True
    ):
        place = next(k for k, total in enumerate(cumulated) if total >= level)
        assert share == (start[0] + place) / size


def test_a_quantile_that_is_hit_exactly_is_not_missed_by_rounding():
    # Polya's urn from one of each is uniform on 1..20 after 19 arrivals: P(K <= 1) is exactly 0.05.
    assert Urn(alpha=0.0, p=0.3, a=1, b=1).quantiles([19], LEVELS) == [[1 / 21], [10 / 21], [19 / 21]]


def test_the_ends_of_alpha_are_beta_binomial_and_binomial():
    counts = np.arange(501)
    polya = Urn(alpha=0.0, p=0.9, a=2, b=3).laws([500])[500]
    np.testing.assert_allclose(polya, stats.betabinom(500, 2, 3).pmf(counts), rtol=1e-9)
    rational = Urn(alpha=1.0, p=0.3, a=2, b=3).laws([500])[500]
    np.testing.assert_allclose(rational, stats.binom(500, 0.3).pmf(counts), rtol=1e-9, atol=1e-200)


@given(
    alpha=st.one_of(st.sampled_from([0.0, 1e-12, 0.25, 0.5, 0.5 + 1e-12, 1.0]), st.floats(0, 1)),
    p=st.floats(0, 1),
    start=st.tuples(st.integers(0, 50), st.integers(0, 50)).filter(any),
    arrivals=st.integers(0, 300),
)
@settings(deadline=None, max_examples=60)
def test_mean_and_variance_are_those_of_the_law(alpha, p, start, arrivals):
    urn = Urn(alpha=alpha, p=p, a=start[0], b=start[1])
    law = urn.laws([arrivals])[arrivals]
    share = (start[0] + np.arange(arrivals + 1)) / (sum(start) + arrivals)
    mean = law @ share
    assert law.sum() == pytest.approx(1.0, rel=1e-12)
    assert float(urn.mean(arrivals)) == pytest.approx(mean, rel=1e-11, abs=1e-14)
    assert urn.variance(arrivals) == pytest.approx(law @ (share - mean) ** 2, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_simulated_urns_agree_within_four_standard_errors(alpha):
    urn, chance, runs, arrivals = (
        Urn(alpha=alpha, p=0.7, a=1, b=2),
        keyed_generator(10, "urns", str(alpha)),
        20_000,
        200,
    )
    serving = np.full(runs, 1.0)
    for t in range(arrivals):
        serving += chance.random(runs) < alpha * 0.7 + (1 - alpha) * serving / (3 + t)
    shares = serving / (3 + arrivals)
    sd = math.sqrt(urn.variance(arrivals))
    assert abs(shares.mean() - float(urn.mean(arrivals))) <= 4 * sd / math.sqrt(runs)
    fourth = ((shares - shares.mean()) ** 4).mean()
    assert abs(shares.var() - sd**2) <= 4 * math.sqrt((fourth - sd**4) / runs)
    for level, (quantile,) in zip(LEVELS, urn.quantiles([arrivals], LEVELS), strict=True):
        error = 4 * math.sqrt(level * (1 - level) / runs)
        assert (shares < quantile).mean() - error <= level <= (shares <= quantile).mean() + error


@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.3, 0.5, 0.8, 1.0])
def test_beyond_the_exact_law_quantiles_are_off_by_less_than_stated(alpha, monkeypatch):
    urn = Urn(alpha=alpha, p=0.7, a=1, b=1)
    exact = urn.quantiles([4_000], LEVELS)
    monkeypatch.setattr(imitation, "EXACT_ARRIVALS", 500)
    assert np.abs(np.array(urn.quantiles([4_000], LEVELS)) - exact).max() <= 1 / 500


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 2), (0, 4)])
def test_polyas_urn_after_very_many_arrivals_is_a_beta_law(a, b, monkeypatch):
    monkeypatch.setattr(imitation, "EXACT_ARRIVALS", 300)
    urn = Urn(alpha=0.0, p=0.7, a=a, b=b)
    found = [row[0] for row in urn.quantiles([10**12], LEVELS)]
    limit = [float(special.betaincinv(a, b, level)) if a else 0.0 for level in LEVELS]
    assert found == pytest.approx(limit, abs=1 / 300)
    assert urn.variance(10**12) == pytest.approx(a * b / (a + b) ** 2 / (a + b + 1), rel=1e-8)


def test_many_arrivals_are_summed_as_exactly_as_few(monkeypatch):
    urn = Urn(alpha=0.3, p=0.7, a=1, b=4)
    one_by_one = urn.variance(50_000)
    monkeypatch.setattr(imitation, "_SUMMED", 2_000)
    assert urn.variance(50_000) == pytest.approx(one_by_one, rel=1e-7)


@pytest.mark.parametrize(("alpha", "bias"), [(0.05, 0.2), (0.3, 0.2), (0.3, 0.01), (1.0, 0.2), (1.0, 1e-6)])
def test_the_arrivals_until_the_bias_is_gone_are_the_fewest(alpha, bias):
    urn = Urn(alpha=alpha, p=0.7, a=1, b=3)
    count = round(math.exp(urn.log_arrivals(bias)))
    assert abs(float(urn.mean(count)) - 0.7) <= bias + 1e-15  # rounding of the difference
    assert abs(float(urn.mean(count - 1)) - 0.7) > bias


def test_astronomical_times_follow_the_power_law():
    slow, slower = (Urn(alpha=alpha, p=0.7, a=1, b=1).log_arrivals(1e-4) for alpha in (1e-3, 1e-6))
    assert slow == pytest.approx(math.log(0.2 / 1e-4) / 1e-3, rel=1e-3)
    assert slower == pytest.approx(math.log(0.2 / 1e-4) / 1e-6, rel=1e-6)


def test_none_and_never_are_told_apart():
    assert Urn(alpha=0.5, p=0.5, a=1, b=1).log_arrivals(0.0) == -math.inf
    assert Urn(alpha=0.0, p=0.7, a=1, b=1).log_arrivals(0.1) == math.inf
    assert Urn(alpha=0.5, p=0.7, a=1, b=1).log_arrivals(0.0) == math.inf


def test_uniform_beliefs_end_where_their_urn_does():
    # Simulated servers: rational ones draw P_t from [0, high] and serve A if it exceeds π.
    high, chance = 0.8, keyed_generator(11, "uniform beliefs")
    serving, arrivals = np.full(400, 1.0), 20_000
    for t in range(arrivals):
        share = serving / (2 + t)
        rational = chance.random(400) < 0.5
        chosen = np.where(rational, chance.random(400) * high > share, chance.random(400) < share)
        serving += chosen
    shares = serving / (2 + arrivals)
    # By then the mean's own distance from the limit is below 1 / arrivals^0.9, far less than its standard error.
    assert shares.mean() == pytest.approx(limit_of_uniform_beliefs(high), abs=4 * shares.std() / 20)


@pytest.mark.parametrize("step", [-0.999, -0.5, 1e-9, 0.3, 1.0, 2.0])
def test_ratios_of_gamma_functions_against_products_and_logs(step):
    x = np.array([1.0, 2.5, 10.0, 31.9, 32.1, 60.0])
    np.testing.assert_allclose(
        log_gamma_ratio(x, step), special.gammaln(x + step) - special.gammaln(x), rtol=1e-11, atol=1e-12
    )
    # Γ(x + s + 1) / Γ(x + 1) = Γ(x + s) / Γ(x) * (x + s) / x holds at any size.
    for large in (1e3, 1e8, 1e15):
        apart = log_gamma_ratio(large + 1.0, step) - log_gamma_ratio(large, step)
        assert float(apart) == pytest.approx(
            math.log1p(step / large), abs=1e-13 * (1 + abs(float(log_gamma_ratio(large, step))))
        )
