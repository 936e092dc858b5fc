"""Lines of numbers: each as prometheus-client writes it, whatever the numbers beside it are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from scenarios.number_lines import number_lines

MANY = {"min_size": 1, "max_size": 30}
powers = st.integers(-20, 20).map(lambda power: 10.0**power)
beside_powers = st.tuples(powers, st.sampled_from((-math.inf, 0.0, math.inf)), st.sampled_from((1, -1))).map(
    lambda beside: beside[2] * (math.nextafter(beside[0], beside[1]) if beside[1] else beside[0])
)
round_numbers = st.tuples(st.integers(-999, 999), st.integers(0, 18)).map(lambda parts: parts[0] * 10 ** parts[1])
naturals = st.one_of(
    st.integers(0, 10**9),
    st.integers(0, 10**20),
    st.integers(0, 20).map(lambda power: 10**power),
    round_numbers.map(abs),
)
anything = st.one_of(
    st.floats(),
    st.floats(-1e-3, 1e-3),
    st.floats(1e5, 1e17),
    beside_powers,
    naturals,
    round_numbers,
    st.integers(-(10**300), 10**300),
)


def as_one_by_one(values):
    return "".join(f'x{{n="{place}"}} {floatToGoString(value)}\n' for place, value in enumerate(values)).encode()


def as_lines(values):
    return number_lines([f'x{{n="{place}"}} ' for place in range(len(values))], values)


@given(st.lists(anything, **MANY))
@example([math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308])
@example([1e-4, math.nextafter(1e-4, 0), -1e-4, 1e6, math.nextafter(1e6, 0), -1e6, 1e15, -1e15, 1e16, -1e16])
def test_numbers_of_all_kinds_are_written_as_prometheus_client_writes_them(values):
    assert as_lines(values) == as_one_by_one(values)


@given(st.lists(naturals, **MANY))
@example([999_999, 1_000_000, 1_000_001, 1_200_000, 999_999_999_999_999])
@example([1_000_000_000_000_000, 9_007_199_254_740_993, 2**64])
@example([7])
def test_natural_numbers_are_written_as_prometheus_client_writes_them(values):
    assert as_lines(values) == as_one_by_one(values)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float64, np.float32, bool])
def test_numbers_of_other_types_are_those_that_they_stand_for(kind):
    values = [kind(1), kind(0), 3, 2.5]
    assert as_lines(values) == as_one_by_one(values)


def test_what_is_before_a_number_may_be_any_text():
    assert number_lines(['ä{b="1,2],[0"} ', "€ "], [1, 2_000_000]) == 'ä{b="1,2],[0"} 1.0\n€ 2e+06\n'.encode()
