"""Values of metrics: what is kept, what is beyond the bound, and cumulative histograms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netem.series import Bins, Series


def test_values_are_kept_by_label_values_in_the_order_they_came():
    series = Series(["fate", "system"], [3, 2])
    series.add(2, ("lost", "market"))
    series.set(5, ("delivered", "market"))
    series.add(1, ("lost", "market"))
    assert series.keys == [
        ("", (("fate", "lost"), ("system", "market"))),
        ("", (("fate", "delivered"), ("system", "market"))),
    ]
    assert series.values == [3, 5]
    assert series.get(("lost", "market")) == 3
    assert series.get(("none", "market")) == 0


def test_what_is_beyond_the_bound_is_not_kept():
    series = Series(["file"], [2])
    for file in range(4):
        series.set(file, (str(file),))
        series.add(1, (str(file),))
    assert series.values == [1, 2]
    assert len(series.keys) == 2


def test_a_series_without_labels_has_one_value():
    series = Series()
    series.add(1)
    series.add(2)
    assert (series.keys, series.values) == ([("", ())], [3])


def test_a_cleared_series_begins_a_new_era():
    series = Series(["claim"], [3])
    series.set(1, ("a",))
    series.clear()
    assert (series.keys, series.values, series.era) == ([], [], 1)
    series.set(2, ("b",))
    assert series.keys == [("", (("claim", "b"),))]


@given(st.lists(st.floats(0, 10)))
def test_a_histogram_counts_up_to_and_including_each_edge(values):
    edges = (0.5, 2.0, 9.0)
    bins = Bins(edges)
    for value in values:
        bins.observe(value)
    counts = [sum(value <= edge for value in values) for edge in edges]
    assert bins.values[:5] == [*counts, len(values), len(values)]
    assert bins.values[5] == sum(values)
    assert bins.keys[3:] == [("_bucket", (("le", "+Inf"),)), ("_count", ()), ("_sum", ())]
