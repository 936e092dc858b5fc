"""Numbers of a report: with their units, and round ones beside an axis."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.report.numbers import axis_unit, digits, on_axis, shown, ticks


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.05, "percentunit", "5 %"),
        (0, "percentunit", "0 %"),
        (0.0123, "s", "12.3 ms"),
        (120, "s", "120 s"),
        (125_000, "Bps", "125 kB/s"),
        (1_500, "ops", "1.5 k/s"),
        (12, "ops", "12/s"),
        (2e9, "short", "2 G"),
        (0.25, "short", "0.25"),
        (3, "furlongs", "3 furlongs"),
        (math.inf, "s", "inf"),
        (999_950, "Bps", "1,000 kB/s"),
    ],
)
def test_a_value_is_shown_with_its_unit(value, unit, text):
    assert shown(value, unit) == text


def test_a_long_unit_stands_above_the_axis_once():
    assert (on_axis(1_500, "pps"), axis_unit("pps")) == ("1.5 k", "packets/s")
    assert (on_axis(0.02, "s"), axis_unit("s")) == ("20 ms", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [(36_000_000, "36,000,000"), (0.0507554, "0.05076"), (0.0, "0"), (None, "–"), ("name", "name"), (1e-9, "1e-09")],
)
def test_a_table_writes_whole_numbers_in_full_and_others_with_four_digits(value, text):
    assert digits(value) == text


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_rise_and_span_the_range(low, length):
    found = ticks(low, low + length)
    assert 2 <= len(found) <= 8
    assert found == sorted(found)
    slack = 1e-6 * (abs(low) + length)
    assert found[0] <= low + slack
    assert found[-1] >= low + length - slack
