"""The store keeps what was scraped, within its memory, and knows which series have ended."""

from __future__ import annotations

import numpy as np
import pytest

from netem.errors import LocalProtocolError
from scenarios.promql.frames import Integers
from scenarios.promql.labels import Matcher
from scenarios.promql.store import SCRAPES_PER_BLOCK, SampleStore

ALWAYS = {"start_ms": 0, "end_ms": 10**15}


def all_of(store: SampleStore) -> Integers:
    return store.select(())


def test_a_series_has_one_number_whatever_the_order_of_its_labels():
    store = SampleStore()
    assert store.series("a", {"x": "1", "y": "2"}) == store.series("a", {"y": "2", "x": "1"}) == 0
    assert store.series("a", {"x": "1"}) == store.series("a", {"x": "1", "y": ""}) == 1


def test_samples_come_back_over_block_borders_and_between_times():
    store = SampleStore()
    number = store.series("a", {})
    for scrape in range(3 * SCRAPES_PER_BLOCK):
        store.append(10 * scrape + 10, [number], [float(scrape)])
    samples = store.samples(all_of(store), start_ms=300, end_ms=700)
    assert samples.times_ms.tolist() == list(range(300, 701, 10))
    assert samples.frame.values[0].tolist() == [float(at // 10 - 1) for at in range(300, 701, 10)]
    assert samples.frame.present.all()


def test_a_series_is_present_where_it_was_scraped_only():
    store = SampleStore()
    early = store.series("early", {})
    store.append(1, [early], [1.0])
    late = [store.series("late", {"i": str(i)}) for i in range(200)]  # more than the first block has rows for
    store.append(2, late, [float("nan")] * 200)
    store.append(3, [early], [2.0])
    samples = store.samples(all_of(store), **ALWAYS)
    assert samples.frame.present[early].tolist() == [True, False, True]
    assert samples.frame.present[late[-1]].tolist() == [False, True, False]
    assert np.isnan(samples.frame.values[late[-1], 1])


def test_the_oldest_samples_go_when_memory_is_full():
    store = SampleStore(limit_bytes=64 * 8 * SCRAPES_PER_BLOCK * 2)  # two blocks of the smallest size
    number = store.series("a", {})
    for scrape in range(10 * SCRAPES_PER_BLOCK):
        store.append(scrape, [number], [0.0])
    first, last = store.bounds_ms()
    assert last == 10 * SCRAPES_PER_BLOCK - 1
    assert SCRAPES_PER_BLOCK < last - first + 1 <= 2 * SCRAPES_PER_BLOCK


def test_a_scrape_that_is_not_newer_is_refused_and_changes_nothing():
    store = SampleStore()
    number = store.series("a", {})
    store.append(5, [number], [1.0])
    with pytest.raises(LocalProtocolError, match="not after the last"):
        store.append(5, [number], [2.0])
    assert store.samples(all_of(store), **ALWAYS).frame.values.tolist() == [[1.0]]


def test_a_selection_sees_series_that_came_after_it_was_first_made():
    store = SampleStore()
    one = (Matcher("__name__", "=~", "a|b"),)
    store.series("a", {})
    assert store.select(one).tolist() == [0]
    store.series("c", {})
    store.series("b", {})
    assert store.select(one).tolist() == [0, 2]
