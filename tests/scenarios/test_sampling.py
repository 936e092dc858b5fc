"""A run's own samples are what a Prometheus beside it would have scraped."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from netem.metric import Family, Label, gauge, histogram
from netem.virtual_time import VirtualTime
from scenarios.exposition import Exposition
from scenarios.promql.queries import evaluate_instant
from scenarios.promql.store import SampleStore
from scenarios.sampling import JOB, SERIES_PER_STEP, Sampler
from scenarios.watch import KEPT_BYTES

TARGET = {"instance": "127.0.0.1:9", "job": JOB}
S = 10**9


class Levels(Family):
    """A number for each of some labels, as its source says."""

    name = "levels"
    reads = "levels"
    metrics = (
        gauge("swarmbed_level", "A level.", Label("zone", most=10_000)),
        histogram("swarmbed_wait_seconds", "A wait.", (0.1, 2.5)),
    )
    panels = ()

    def gather(self, now_ns):
        self.clear("swarmbed_level")
        for zone, value in (self.source or {}).items():
            self.set("swarmbed_level", value, zone)
            self.bins("swarmbed_wait_seconds").observe(value)
        yield


@pytest.fixture
def levels():
    exposition = Exposition({"levels": Levels}, info={"run": "r"}, now_ns=lambda: 0)
    exposition.attach("levels", {"a": 1.5, "b": 2.0})
    return exposition


def kept_of(exposition):
    """Return a sampler of an exposition, and the memory that it samples into every second."""
    sampler, store = Sampler(exposition, VirtualTime()), SampleStore(limit_bytes=KEPT_BYTES)
    sampler.keep(store, instance=TARGET["instance"], period_ns=lambda _: S)
    return sampler, store


def labelled(vector):
    return {labels: value for labels, (value,) in zip(vector.frame.labels, vector.frame.values.tolist(), strict=True)}


def test_every_series_of_a_scrape_is_sampled_with_the_labels_of_its_target(levels):
    sampler, store = kept_of(levels)
    sampler.sample(7 * S)
    families = text_string_to_metric_families(generate_latest(levels.registry).decode())
    scraped = {
        tuple(sorted({**sample.labels, **TARGET, "__name__": sample.name}.items()))
        for family in families
        for sample in family.samples
    }
    numbers = store.select(())
    assert {tuple(sorted(store.labels(number))) for number in numbers.tolist()} == scraped
    found = labelled(evaluate_instant(store, 'swarmbed_level{instance="127.0.0.1:9"}', time_ms=7_000))
    assert {dict(labels)["zone"]: value for labels, value in found.items()} == {"a": 1.5, "b": 2.0}


def test_a_series_that_is_gone_is_stale_and_comes_back_as_itself(levels):
    sampler, store = kept_of(levels)
    for time_s, present in ((1, {"a": 1.0, "b": 2.0}), (2, {"b": 3.0}), (3, {"b": 4.0, "a": 5.0})):
        levels.attach("levels", present)
        sampler.sample(time_s * S)
        found = labelled(evaluate_instant(store, "swarmbed_level", time_ms=time_s * 1000))
        assert {dict(labels)["zone"]: value for labels, value in found.items()} == present


def test_families_are_described_as_their_specs_say(levels):
    sampler, store = kept_of(levels)
    sampler.sample(S)
    described = store.descriptions
    assert (described["swarmbed_level"].kind, described["swarmbed_level"].help) == ("gauge", "A level.")
    assert described["swarmbed_wait_seconds"].kind == "histogram"
    assert described["process_cpu_seconds_total"].kind == "counter"
    assert described["swarmbed_run_info"].kind == "gauge"


def test_a_sample_that_is_not_after_the_last_is_left_out(levels):
    sampler, store = kept_of(levels)
    sampler.sample(2 * S)
    sampler.sample(2 * S)
    sampler.sample(S)
    assert store.bounds_ms() == (2_000, 2_000)


def test_new_series_are_taken_some_at_a_time(levels):
    levels.attach("levels", {str(zone): zone for zone in range(3 * SERIES_PER_STEP)})
    sampler, store = kept_of(levels)
    steps = sum(1 for _ in sampler.steps(S))
    assert steps >= 5
    (total,) = labelled(evaluate_instant(store, "count(swarmbed_level)", time_ms=1_000)).values()
    assert total == 3 * SERIES_PER_STEP


def test_memory_is_bounded_and_the_oldest_samples_go_first(levels):
    sampler, store = kept_of(levels)
    levels.attach("levels", {str(zone): zone for zone in range(9_000)})
    row_bytes = 16_384 * 8  # as many series as a block has room for
    scrapes = KEPT_BYTES // row_bytes + 100
    for second in range(1, 3):
        sampler.sample(second * S)
    numbers = store.select(())
    for second in range(3, scrapes):
        store.append(second * 1_000, numbers, [0.0] * len(numbers))
    first_ms, last_ms = store.bounds_ms()
    assert first_ms > 1_000
    assert (last_ms - first_ms) / 1_000 * row_bytes <= KEPT_BYTES


def test_reading_all_metrics_is_timed_as_a_scrape_is(levels):
    sampler, _store = kept_of(levels)
    sampler.sample(S)
    assert b"swarmbed_scrape_duration_seconds_count 1.0\n" in b"".join(levels.slices())


def test_all_who_are_due_share_one_reading(levels):
    sampler, store = kept_of(levels)
    seldom = SampleStore(limit_bytes=KEPT_BYTES)
    sampler.keep(seldom, instance="b", period_ns=lambda _: 3 * S, reading=True)
    for second in range(1, 8):
        for _ in sampler.steps(second * S):
            pass
    readings = b"swarmbed_scrape_duration_seconds_count 7.0\n"
    assert readings in b"".join(levels.slices())
    assert [bounds for kept in (store, seldom) for bounds in kept.bounds_ms()] == [1_000, 7_000, 1_000, 7_000]
    taken = [
        labelled(evaluate_instant(kept, "count_over_time(swarmbed_level[10s])", time_ms=7_000))
        for kept in (store, seldom)
    ]
    assert [set(counts.values()) for counts in taken] == [{7}, {3}]


def test_one_who_leaves_has_a_last_sample_and_gets_no_more(levels):
    sampler, store = kept_of(levels)
    sampler.leave(store, 2 * S)
    sampler.sample(3 * S)
    assert store.bounds_ms() == (2_000, 2_000)


class Folded(Family):
    """What events tell, and no part of a testbed."""

    name = "folded"
    metrics = (gauge("swarmbed_folded", "A number."),)
    panels = ()


def test_who_wants_only_what_is_read_gets_nothing_that_events_tell():
    exposition = Exposition({"levels": Levels, "folded": Folded}, info={}, now_ns=lambda: 0)
    exposition.families["folded"].set("swarmbed_folded", 1)
    sampler, store = kept_of(exposition)
    part = SampleStore(limit_bytes=KEPT_BYTES)
    sampler.keep(part, instance="b", period_ns=lambda _: S, reading=True)
    sampler.sample(S)
    names = [{dict(kept.labels(number))["__name__"] for number in kept.select(()).tolist()} for kept in (store, part)]
    assert names[0] - names[1] == {"swarmbed_folded"}
    assert "swarmbed_folded" not in part.descriptions
