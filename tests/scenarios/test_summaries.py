"""Many runs summed up: which count, what a claim comes to with its interval, and the worst status."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from netem.randomness import keyed_generator
from scenarios.summaries import Mean, mean_of, summarise, worst


def result(status, *claims):
    return {
        "status": status,
        "claims": [{"name": name, "predicted": p, "measured": m, "ok": ok} for name, p, m, ok in claims],
    }


def test_means_and_verdicts_are_over_complete_valid_runs():
    runs = [
        result(0, ("a", 1.0, 2.0, True)),
        result(1, ("a", 3.0, 4.0, False), ("b", 1, 1, True)),
        result(3, ("a", 99.0, 99.0, True)),
        result(130, ("a", 99.0, 99.0, True)),
    ]
    a, b = summarise(runs)
    assert (a.name, a.predicted, a.measured.mean, a.held, a.judged) == ("a", 2.0, 3.0, 1, 2)
    assert (b.name, b.measured.mean, b.measured.low, b.held, b.judged) == ("b", 1.0, None, 1, 1)


def test_a_claim_that_was_not_judged_or_measured_counts_as_such():
    (summary,) = summarise([result(0, ("a", None, None, None)), result(1, ("a", 2, None, False))])
    assert (summary.predicted, summary.measured.mean, summary.held, summary.judged) == (2.0, None, 0, 1)


def test_text_has_no_mean():
    (summary,) = summarise([result(0, ("a", "x", "x", True)), result(0, ("a", "x", "y", True))])
    assert (summary.predicted, summary.measured.mean, summary.held) == (None, None, 2)


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2, 3])))
def test_void_outranks_a_refusal_and_that_a_failed_claim(order):
    assert worst(order) == 3
    assert worst([*order, 130]) == 130
    assert worst(status for status in order if status < 3) == 2
    assert worst([]) == 0


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
