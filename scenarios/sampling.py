"""trio: a run samples its own metrics into memory, as a Prometheus server beside it would (it times itself).

Every series gets the labels `instance` and `job` that Prometheus would add, so that the dashboards' queries find it. Samples are
kept for as long as `KEPT_BYTES` lasts: at one scrape a second about four hours of 1,000 series, five minutes of 50,000.

Source: DESIGN section 5; https://prometheus.io/docs/concepts/jobs_instances/.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from netem.metric import Family, Metric
from netem.series import Bins, Series
from scenarios.exposition import Exposition
from scenarios.promql.store import Description, SampleStore

JOB = "swarmbed"  # as in grafana/prometheus.yml
KEPT_BYTES = 128 * 2**20
SERIES_PER_STEP = 1_000


class Sink(Protocol):
    """Where samples go: `SampleStore`, or what writes them down; see there."""

    descriptions: dict[str, Description]

    def series(self, name: str, labels: Mapping[str, str]) -> int:
        """Return the number of a series."""
        ...

    def append(self, time_ms: int, numbers: Sequence[int], values: Sequence[float]) -> None:
        """Take one sample of the series with these numbers."""
        ...

    def bounds_ms(self) -> tuple[int, int]:
        """Return the times of the oldest and the newest sample."""
        ...


class Readings:
    """Read an exposition into a sink.

    Args:
        exposition: what to sample.
        sink: what takes the samples.
        instance: where it could be scraped, as `host:port`.
    """

    def __init__(self, exposition: Exposition, sink: Sink, *, instance: str) -> None:
        self._sink = sink
        self._exposition = exposition
        self._target = {"instance": instance, "job": JOB}
        self._known: dict[str, Numbered] = {}
        describe(sink.descriptions, exposition.families.values())

    def sample(self, now_ns: int) -> None:
        """Take one sample at once."""
        for _ in self.steps(now_ns):
            pass

    def steps(self, now_ns: int) -> Iterator[None]:
        """Take one sample, yielding between steps of at most a few milliseconds; one not after the last is left out."""
        began_s = time.perf_counter()
        numbers: list[int] = []
        values: list[float] = []
        for exposed in self._exposition.stock():
            for sample in exposed.samples:
                numbers.append(self._sink.series(sample.name, {**sample.labels, **self._target}))
                values.append(sample.value)
            name = exposed.name + {"counter": "_total", "info": "_info"}.get(exposed.type, "")
            kind = "gauge" if exposed.type == "info" else exposed.type
            self._sink.descriptions[name] = Description(kind, exposed.documentation)
        yield
        for metric, series in self._exposition.gathered():
            if metric is not None:
                known = self._known.setdefault(metric.name, Numbered(metric))
                yield from known.follow(series, self._sink, self._target)
                numbers += known.numbers
                values += series.values
            yield
        time_ms = now_ns // 10**6
        if time_ms > self._sink.bounds_ms()[1]:
            self._sink.append(time_ms, numbers, values)
        self._exposition.scrape_s.observe(time.perf_counter() - began_s)


class Sampler(Readings):
    """Take samples of an exposition into memory.

    Args:
        exposition, instance: see `Readings`.

    Attributes:
        store: the samples.
    """

    def __init__(self, exposition: Exposition, *, instance: str) -> None:
        self.store = SampleStore(limit_bytes=KEPT_BYTES)
        super().__init__(exposition, self.store, instance=instance)


def describe(descriptions: dict[str, Description], families: Iterable[Family]) -> None:
    """Add what the families' metrics are."""
    for family in families:
        for metric in family.metrics:
            descriptions[metric.name] = Description(metric.kind, metric.help)


class Numbered:
    """The store's numbers of a metric's series, in the order of its values."""

    def __init__(self, metric: Metric) -> None:
        self._name = metric.name
        self._era = 0
        self.numbers: list[int] = []

    def follow(self, series: Series | Bins, store: Sink, target: Mapping[str, str]) -> Iterator[None]:
        """Number the series that are new, some at a time; at the end there are as many numbers as values."""
        while True:
            if series.era != self._era:
                self.numbers.clear()
                self._era = series.era
            begin = len(self.numbers)
            if begin == len(series.keys):
                return
            for suffix, labels in series.keys[begin : begin + SERIES_PER_STEP]:
                self.numbers.append(store.series(self._name + suffix, {**dict(labels), **target}))
            yield
