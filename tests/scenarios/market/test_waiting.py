"""The times of requests that wait in line, against a simulation-free check and against the law of M/D/1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.randomness import keyed_generator
from scenarios.market.waiting import line_times, mean_slowdown


def test_who_finds_the_line_empty_is_served_at_once_and_others_wait_for_those_before_them():
    assert line_times([0.0, 1.0, 10.0], [2.0, 2.0, 2.0]) == [2.0, 3.0, 2.0]


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), max_size=20))
def test_no_request_takes_less_than_its_service_nor_ends_before_one_that_came_earlier(requests):
    gaps, services = [gap for gap, _ in requests], [service for _, service in requests]
    arrivals = np.cumsum(gaps).tolist()
    times = line_times(arrivals, services)
    ends = [arrival + took for arrival, took in zip(arrivals, times, strict=True)]
    assert all(took >= service - 1e-9 for took, service in zip(times, services, strict=True))
    assert ends == sorted(ends)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_poisson_requests_take_as_long_as_pollaczek_and_khinchine_say(load):
    arrivals = np.cumsum(keyed_generator(1, "arrivals").exponential(1 / load, 100_000)).tolist()
    mean = np.mean(line_times(arrivals, [1.0] * len(arrivals)))
    assert mean == pytest.approx(mean_slowdown(load), rel=0.05)
    assert mean_slowdown(0.0) == 1.0
