"""Pure: laws of delays have the moments, shares and bounds of the distributions that they tabulate."""

import numpy as np
import pytest
from scipy import optimize, stats

from netem import tails
from netem.delay_histograms import BINS, UNCLASSED, DelayHistograms, edges_ns
from netem.delay_law import CELL, DelayLaw, normal
from netem.impairments.delay import Delay
from netem.link import LinkConfig

DELAYS = [
    (Delay(0.05, 0.01), stats.uniform(0.04, 0.02)),
    (Delay(0.1, 0.01, "normal"), stats.norm(0.1, 0.01)),
]


@pytest.mark.parametrize(("delay", "exact"), DELAYS)
def test_moments_quantiles_and_shares_are_those_of_the_distribution(delay, exact):
    law = delay.delay_law()
    assert law.mean_s == pytest.approx(exact.mean(), rel=1e-9)
    assert law.sd_s == pytest.approx(exact.std(), rel=2e-4)
    for probability in (0.001, 0.05, 0.5, 0.95, 0.999):
        assert law.quantile_s(probability) == pytest.approx(exact.ppf(probability), rel=1e-4)
    x = np.linspace(0.03, 0.15, 1001)
    np.testing.assert_allclose(law.share_below(x), exact.cdf(x), atol=CELL)


def test_the_clamp_at_zero_is_part_of_the_law():
    law = Delay(0.01, 0.02).delay_law()
    assert law.mean_s == pytest.approx(Delay(0.01, 0.02).mean_delay_s(), rel=1e-5)
    assert law.share_below(np.array([-1e-9, 0.0, 0.01, 0.03])) == pytest.approx([0.0, 0.25, 0.5, 1.0], abs=CELL)


def test_a_constant_beside_a_jitter_shifts_it_and_two_jitters_have_no_law():
    config = LinkConfig((Delay(0.02), Delay(0.05, 0.01)))
    assert config.delay_law().mean_s == pytest.approx(0.07)
    assert LinkConfig((Delay(0.02, 0.001), Delay(0.05, 0.01))).delay_law() is None


@pytest.mark.parametrize("packets", [1, 10, 1000, 1_000_000])
def test_bounds_of_a_mean_are_near_those_of_a_normal_one_and_never_inside(packets):
    low, high = tails.accepted(packets * normal().sum_log_mgf, level=1e-6)
    exact = stats.norm.isf(0.5e-6) * np.sqrt(packets)
    assert exact <= high <= 1.12 * exact
    assert -1.12 * exact <= low <= -exact


@pytest.mark.parametrize("packets", [10, 1000, 100_000])
def test_bounds_of_squares_are_near_the_best_ones_of_chi_squared(packets):
    low, high = tails.accepted(packets * normal().square_log_mgf, level=1e-6)

    def excess(x):  # Chernoff's bound at its best slope, less the level
        return packets / 2 * (x / packets - 1 - np.log(x / packets)) - np.log(2e6)

    best = optimize.brentq(excess, packets, 20 * packets + 100), optimize.brentq(excess, 1e-9, packets)
    assert 0.999 * (best[0] - packets) <= high - packets <= 1.1 * (best[0] - packets)
    assert 0.999 * (packets - best[1]) <= packets - low <= 1.1 * (packets - best[1])
    exact = stats.chi2(packets)
    assert exact.sf(high) + exact.cdf(low) < 1e-6


def test_memory_widens_the_bounds_of_a_sum():
    wide = DelayLaw(0.0, 1.0, normal(), correlation=0.6)
    assert wide.memory == pytest.approx(4.0)
    low, high = tails.accepted(10_000 * wide.sum_log_mgf(), level=1e-3)
    assert high == pytest.approx(2.0 * tails.accepted(10_000 * normal().sum_log_mgf, level=1e-3)[1], rel=0.15)
    assert low == pytest.approx(-high)


def test_a_histogram_counts_each_delay_between_its_edges():
    histograms, delay = DelayHistograms(), Delay(0.05, 0.01)
    law = delay.delay_law()
    known = histograms.class_of((delay,), delay.delay_law)
    edges = edges_ns(law)
    delays_ns = np.array([0, 40_000_001, 50_000_000, 59_999_999, 10**9])
    histograms.add(np.full(5, known), delays_ns)
    histograms.add(np.full(3, UNCLASSED), delays_ns[:3])
    counts = histograms.counts()[delay,]
    assert counts[0] == 1
    assert counts[BINS + 1] == 1
    np.testing.assert_array_equal(counts[:-1].cumsum(), [(delays_ns < edge).sum() for edge in edges])


def test_a_delay_without_a_law_has_no_histogram():
    histograms = DelayHistograms()
    assert histograms.class_of((Delay(0.05, 0.01),), lambda: None) == UNCLASSED
    assert not histograms.counts()
