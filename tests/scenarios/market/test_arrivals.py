"""The stream of requests: Poisson's law, from its beginning to its end, with nothing drawn before it is needed."""

from itertools import islice

import numpy as np
import pytest

from netem.randomness import keyed_generator
from scenarios.market.arrivals import arrival_times


def test_gaps_have_the_mean_and_the_deviation_of_a_poisson_stream():
    times = np.array(list(islice(arrival_times(keyed_generator(1, "gaps"), mean_s=0.5, from_s=10.0), 10_000)))
    gaps = np.diff(times, prepend=10.0)
    assert gaps.mean() == pytest.approx(0.5, abs=4 * 0.5 / 100)
    assert gaps.std() == pytest.approx(
        0.5, abs=4 * 0.5 * np.sqrt(2) / 100
    )  # the fourth central moment is nine times σ⁴


def test_it_ends_in_time_and_leaves_chance_to_its_caller_between_two_arrivals():
    chance, same = keyed_generator(2, "gaps"), keyed_generator(2, "gaps")
    drawn = [(now_s, chance.random()) for now_s in arrival_times(chance, mean_s=1.0, from_s=5.0, for_s=20.0)]
    expected, now_s = [], 5.0
    while (now_s := now_s + same.exponential(1.0)) < 25.0:
        expected.append((now_s, same.random()))
    assert drawn == expected
    assert 5.0 < drawn[0][0] < drawn[-1][0] < 25.0


def test_a_stream_of_no_length_is_empty():
    assert not list(arrival_times(keyed_generator(3, "gaps"), mean_s=1.0, from_s=5.0, for_s=0.0))
