"""Means with intervals: what they contain, how often, and when there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from netem.randomness import keyed_generator
from scenarios.statistics import Mean, mean_of


def test_the_interval_is_students():
    values = [1.0, 2.0, 4.0, 5.5]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    found = mean_of(values)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))


def test_the_interval_covers_the_true_mean_in_19_of_20_cases():
    draws = keyed_generator(1, "coverage").normal(7.0, 3.0, (2_000, 5))
    found = [mean_of(row.tolist()) for row in draws]
    covered = sum(each.low <= 7.0 <= each.high for each in found)
    assert abs(covered - 1_900) < 4 * math.sqrt(2_000 * 0.95 * 0.05)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], Mean(None)),
        ([3], Mean(3.0)),
        ([math.nan, math.inf, 3], Mean(3.0)),
        ([2, 2, 2], Mean(2.0, 2.0, 2.0)),
    ],
)
def test_too_few_values_have_no_interval(values, found):
    assert mean_of(values) == found


@given(st.lists(st.floats(-1e9, 1e9), min_size=2))
def test_the_mean_is_within_its_interval(values):
    found = mean_of(values)
    assert found.low <= found.mean <= found.high
