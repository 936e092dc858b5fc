"""Rates follow from counters as Prometheus defines them; what holds for any samples is checked on many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.promql.queries import evaluate_range
from scenarios.promql.store import SampleStore

BASE_MS = 1_700_000_000_000


def values(query: str, samples: list[float], *, every_ms: int = 1000) -> list[float]:
    """Return a query's value at each sample's time, over one series `x` scraped regularly; None where there is none."""
    store = SampleStore()
    number = store.series("x", {})
    for place, value in enumerate(samples):
        store.append(BASE_MS + every_ms * place, [number], [value])
    end_ms = BASE_MS + every_ms * (len(samples) - 1)
    frame = evaluate_range(store, query, start_ms=BASE_MS, end_ms=end_ms, step_ms=every_ms).frame
    if not frame.labels:
        return []
    return frame.values[0][frame.present[0]].tolist()


def test_a_steady_counter_has_its_slope():
    assert values("rate(x[5s])", [10.0 + 3 * i for i in range(20)])[5:] == pytest.approx([3.0] * 14)


def test_a_reset_counts_as_a_start_from_zero():
    # 4 -> 6 (2), reset to 1 (1), 3 (2): 5 in the 3 s between the first and the last of the four samples.
    assert values("increase(x[3s])", [4.0, 6.0, 1.0, 3.0])[-1] == pytest.approx(5.0)
    assert values("irate(x[3s])", [4.0, 6.0, 1.0])[-1] == 1.0


def test_one_sample_has_no_rate():
    assert values("rate(x[900ms])", [1.0, 2.0, 3.0]) == []


def test_a_counter_is_not_extrapolated_below_zero():
    # Sampled 0, 10 in the last second of a ten-second window: it cannot have been less than 0 before.
    assert values("increase(x[10s])", [0.0, 10.0])[-1] == pytest.approx(10.0)
    assert values("delta(x[10s])", [0.0, 10.0])[-1] == pytest.approx(15.0)  # a gauge goes half an interval further


counts = st.lists(st.integers(0, 10**6), min_size=2, max_size=40)


@given(counts)
def test_counters_never_have_a_negative_rate(steps):
    assert min(values("rate(x[7s])", [float(it) for it in steps])) >= 0


@given(counts)
def test_an_increase_is_the_rate_times_the_window(steps):
    samples = np.cumsum(steps).astype(float).tolist()
    increase, rate = values("increase(x[7s])", samples), values("rate(x[7s])", samples)
    assert increase == pytest.approx([7 * it for it in rate], rel=1e-12)


@given(counts, st.integers(1, 1000))
def test_a_rate_scales_with_its_counter(steps, factor):
    samples = np.cumsum(steps).astype(float)
    plain, scaled = values("rate(x[5s])", samples.tolist()), values("rate(x[5s])", (factor * samples).tolist())
    assert scaled == pytest.approx([factor * it for it in plain], rel=1e-9)


@given(counts, st.integers(0, 38))
def test_a_restarted_counter_has_the_increase_of_one_that_went_on(steps, at):
    went_on = np.cumsum([0, *steps]).astype(float)
    restarted = went_on.copy()
    restarted[at + 1 :] -= went_on[at] if at + 1 < len(went_on) else 0
    wide = f"{len(went_on) - 1}s"  # from the first sample to the last: nothing is extrapolated
    assert (
        values(f"increase(x[{wide}])", restarted.tolist())[-1] <= values(f"increase(x[{wide}])", went_on.tolist())[-1]
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_mean_lies_between_the_least_and_the_most(samples):
    rows = zip(*(values(f"{it}_over_time(x[5s])", samples) for it in ("min", "avg", "max")), strict=True)
    assert all(least - 1e-9 <= mean <= most + 1e-9 for least, mean, most in rows)
