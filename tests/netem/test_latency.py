"""Pure: the latency histogram bounds what it reports."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netem.latency import LatencyHistogram


def test_an_empty_histogram_reports_zero():
    histogram = LatencyHistogram()
    assert (histogram.count, histogram.max_ns) == (0, 0)
    assert histogram.quantile_ns(0.99) == 0
    assert histogram.worst_mean_ns(0.5) == 0.0


def test_early_counts_as_on_time():
    histogram = LatencyHistogram()
    histogram.add(-40_000)
    assert histogram.quantile_ns(1.0) == 0


@given(
    durations=st.lists(st.integers(0, 10**10), min_size=1, max_size=300),
    share=st.floats(0.01, 1.0),
)
def test_quantiles_and_worst_means_are_upper_bounds_within_a_bin(durations, share):
    histogram = LatencyHistogram()
    for duration in durations:
        histogram.add(duration)
    ordered = np.sort(durations)
    true_quantile = ordered[max(int(np.ceil(share * len(ordered))), 1) - 1]
    assert true_quantile <= histogram.quantile_ns(share) <= 1.0906 * true_quantile + 1000
    worst = max(int(share * len(ordered)), 1)
    true_mean = ordered[-worst:].mean()
    assert histogram.worst_mean_ns(worst / len(ordered)) >= true_mean * (1 - 1e-12)
    assert histogram.worst_mean_ns(worst / len(ordered)) <= 1.0906 * true_mean + 1000
    assert histogram.count == len(durations)
    assert histogram.max_ns == max(durations)


@given(
    parts=st.tuples(*[st.lists(st.integers(0, 10**10), max_size=50)] * 3),
    share=st.floats(0.01, 1.0),
)
def test_quantiles_are_of_what_came_between_begin_and_end(parts, share):
    before, between, after = parts
    now_ns = 10**18
    histogram, alone, merged = LatencyHistogram(), LatencyHistogram(), LatencyHistogram()
    histogram.extend([now_ns - duration_ns for duration_ns in before], now_ns)
    histogram.begin()
    histogram.extend([now_ns - duration_ns for duration_ns in between], now_ns)
    histogram.end()
    histogram.extend([now_ns - duration_ns for duration_ns in after], now_ns)
    alone.add(max(before + between + after, default=0))  # the longest bounds every bin
    alone.begin()
    for duration_ns in between:
        alone.add(duration_ns)
    assert histogram.quantile_ns(share) == alone.quantile_ns(share)
    assert histogram.count == len(before + between + after)
    merged.merge(histogram.counts())
    assert merged.quantile_ns(share) == histogram.quantile_ns(share)
