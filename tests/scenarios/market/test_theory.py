"""The flash crowd's predictions: growth by the harmonic law, and how far noisy rates move the odds."""

import itertools
import math

import numpy as np
import pytest

from netem.randomness import keyed_generator
from scenarios.market.theory import (
    copy_times,
    distance_bound,
    growth_time,
    odds_noise,
    rate_error,
    seed_shares,
    total_variation,
)

STEP_S = 0.01


def full_share():
    return itertools.repeat(1.0)


def test_copies_of_one_seed_come_by_the_harmonic_law_while_requests_wait():
    times = copy_times([0.0] * 30, full_share(), copy_s=5.0, board_s=1.0, notice_s=0.0)
    harmonic = np.cumsum(5.0 / np.arange(1, 31))
    # Each copy rounds up to the next step of the integration.
    assert np.all(np.abs(times - harmonic) <= 2 * STEP_S * np.arange(1, 31))


def test_supply_grows_by_a_factor_e_per_copy_time_as_in_equation_9():
    times = copy_times([0.0] * 200, full_share(), copy_s=5.0, board_s=1.0, notice_s=0.0)
    # From 20 to 20 e servers takes one e-folding; the harmonic numbers differ from the logarithm by less than 1 / 20.
    grown = times[round(20 * math.e) - 1] - times[20 - 1]
    assert grown == pytest.approx(5.0 * growth_time(round(20 * math.e) / 20), rel=0.05)


def test_slow_requests_make_supply_follow_demand():
    arrivals = [10.0 * k for k in range(20)]
    times = copy_times(arrivals, full_share(), copy_s=5.0, board_s=1.0, notice_s=0.0)
    waits = [end - arrival for arrival, end in zip(arrivals, times, strict=True)]
    assert waits == pytest.approx([5.0 / k for k in range(1, 21)], abs=3 * STEP_S)


def test_servers_that_are_noticed_later_slow_the_growth():
    prompt, late = (
        copy_times([0.0] * 10, full_share(), copy_s=5.0, board_s=1.0, notice_s=notice)[-1] for notice in (0.0, 1.0)
    )
    assert prompt < late < prompt + 10 * 1.0


def test_the_seed_moves_its_upload_to_the_new_file_within_a_few_boards():
    shares = list(itertools.islice(seed_shares(0.3, old_files=11, servers=100), 8))
    assert shares[0] == pytest.approx(1 / 12)
    assert shares == sorted(shares)
    assert shares[3] > 0.9


def test_total_variation_is_half_the_summed_difference():
    assert total_variation(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == 0.5


def test_the_rate_error_is_that_of_a_forgotten_poisson_stream():
    lump, rate, half_life = 50_000.0, 100_000.0, 10.0
    chance = keyed_generator(1, "rate-error")
    k = math.log(2) / half_life
    estimates = []
    for _ in range(2_000):
        ages = np.cumsum(chance.exponential(lump / rate, size=400))  # 200 s: 20 half-lives
        estimates.append(k * lump * np.exp(-k * ages).sum())
    measured = np.std(estimates) / np.mean(estimates)
    predicted = rate_error(lump_bytes=lump, rate_bytes_per_s=rate, half_life_s=half_life)
    assert measured == pytest.approx(predicted, rel=4 / math.sqrt(2 * 2_000))  # the standard error of a deviation


def test_specialised_servers_with_noisy_rates_stay_within_the_bound():
    p = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
    chance = keyed_generator(1, "odds-noise")
    servers, error = 50, 0.15
    bound = distance_bound(odds_noise(p, servers=servers, relative_error=error))
    held = np.repeat(
        np.arange(6), (p * servers).round().astype(int)
    )  # each server serves one file only: the worst case
    distances = []
    for _ in range(500):
        rates = 1 + error * chance.standard_normal(servers)
        odds = np.bincount(held, weights=rates, minlength=6) / rates.sum()
        distances.append(total_variation(odds, p))
    assert np.mean(np.array(distances) > bound) < 0.01
    assert np.mean(distances) > bound / 3  # and the bound is not idle


def test_more_seeds_save_the_first_terms_of_the_harmonic_law():
    one = copy_times([0.0] * 30, full_share(), copy_s=5.0, board_s=1.0, notice_s=0.0)
    four = copy_times([0.0] * 27, full_share(), copy_s=5.0, board_s=1.0, notice_s=0.0, seeds=4)
    assert one[-1] - four[-1] == pytest.approx(5.0 * (1 + 1 / 2 + 1 / 3), abs=0.3)


def test_several_seeds_need_less_of_their_upload_each():
    one = list(itertools.islice(seed_shares(0.3, old_files=11, servers=20), 20))
    four = list(itertools.islice(seed_shares(0.3, old_files=11, servers=20, seeds=4), 20))
    assert four[0] == one[0]
    assert four[-1] < one[-1]
    assert 4 * four[-1] / 20 <= 0.3 + 1e-6
