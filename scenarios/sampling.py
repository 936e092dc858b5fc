"""trio: a run samples its own metrics, as a Prometheus server beside it would: into its directory, and into memory when it is watched.

Every series gets the labels `instance` and `job` that Prometheus would add, so that the dashboards' queries find it.

Source: DESIGN section 5; https://prometheus.io/docs/concepts/jobs_instances/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import trio
from prometheus_client.metrics_core import Metric as Exposed

from netem.clock import Clock, S
from netem.events import Event
from netem.metric import Family, Metric
from netem.series import Bins, Series
from scenarios.exposition import Exposition
from scenarios.promql.store import Description
from scenarios.turns import in_turns

JOB = "swarmbed"  # as in grafana/prometheus.yml
SERIES_PER_STEP = 1_000

Period = Callable[[int], int]  # from the time of a sample to the next, in ns


class Sink(Protocol):
    """Where samples go: `SampleStore`, or `SampleFile`, which writes them down; see there."""

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


class Sampler:
    """Read an exposition for all who keep samples of it: one reading for all that are due.

    Args:
        exposition: what to sample.
        clock: the run's.

    Attributes:
        exposition: the same.
        cpu_s: what the last reading cost, where it was taken in turns with others.
    """

    def __init__(self, exposition: Exposition, clock: Clock) -> None:
        self.exposition = exposition
        self.cpu_s = 0.0
        self._clock = clock
        self._kept: list[_Kept] = []

    def keep(self, sink: Sink, *, instance: str, period_ns: Period, reading: bool = False) -> None:
        """Sample into a sink from now on.

        Args:
            sink: what takes the samples.
            instance: where the exposition could be scraped, as `host:port`.
            period_ns: says how long after a sample, taken at its argument, the next is due.
            reading: leave out families that read no part of the testbed.
        """
        families = [family for family in self.exposition.families.values() if family.reads or not reading]
        describe(sink.descriptions, families)
        self._kept.append(_Kept(sink, instance=instance, period_ns=period_ns, families=families))

    def leave(self, sink: Sink, now_ns: int) -> None:
        """Take the last sample into a sink."""
        last = [kept for kept in self._kept if kept.sink is sink]
        for _ in self._steps(now_ns, last):
            pass
        self._kept = [kept for kept in self._kept if kept.sink is not sink]

    def sample(self, now_ns: int) -> None:
        """Take one sample into all sinks at once."""
        for _ in self._steps(now_ns, self._kept):
            pass

    def fold(self, time_ns: int, event: Event) -> None:
        """Take an event; a simulated run is sampled at events, for a task or a timer more would change it."""
        self.exposition.fold(time_ns, event)
        if self._clock.virtual:
            for _ in self.steps(time_ns):
                pass

    async def run(self) -> None:
        """Sample a real run until cancelled."""
        while True:
            self.cpu_s = await in_turns(self.steps(self._clock.now_ns()))
            due_ns = min(kept.due_ns for kept in self._kept)
            await trio.sleep(max(0, due_ns - self._clock.now_ns()) / S)

    def steps(self, now_ns: int) -> Iterator[None]:
        """Take one sample into the sinks that are due, yielding between steps of at most a few milliseconds."""
        due = [kept for kept in self._kept if now_ns >= kept.due_ns]
        if due:
            yield from self._steps(now_ns, due)

    def _steps(self, now_ns: int, due: Sequence[_Kept]) -> Iterator[None]:
        began_s = time.perf_counter()
        stock = list(self.exposition.stock())
        for kept in due:
            kept.begin(stock)
        yield
        for metric, series in self.exposition.gathered():
            if metric is not None:
                for kept in due:
                    yield from kept.take(metric, series)
            yield
        for kept in due:
            kept.end(now_ns)
        self.exposition.scrape_s.observe(time.perf_counter() - began_s)


class _Kept:
    """A sink, and one sample on its way into it."""

    def __init__(self, sink: Sink, *, instance: str, period_ns: Period, families: Iterable[Family]) -> None:
        self.sink = sink
        self.due_ns = 0
        self._period_ns = period_ns
        self._target = {"instance": instance, "job": JOB}
        self._known = {metric.name: Numbered(metric) for family in families for metric in family.metrics}
        self._numbers: list[int] = []
        self._values: list[float] = []

    def begin(self, stock: Iterable[Exposed]) -> None:
        self._numbers, self._values = [], []
        for exposed in stock:
            for sample in exposed.samples:
                self._numbers.append(self.sink.series(sample.name, {**sample.labels, **self._target}))
                self._values.append(sample.value)
            name = exposed.name + {"counter": "_total", "info": "_info"}.get(exposed.type, "")
            kind = "gauge" if exposed.type == "info" else exposed.type
            self.sink.descriptions[name] = Description(kind, exposed.documentation)

    def take(self, metric: Metric, series: Series | Bins) -> Iterator[None]:
        known = self._known.get(metric.name)
        if known is not None:
            yield from known.follow(series, self.sink, self._target)
            self._numbers += known.numbers
            self._values += series.values

    def end(self, now_ns: int) -> None:
        """Hand the sample to the sink; one not after the last is left out."""
        time_ms = now_ns // 10**6
        if time_ms > self.sink.bounds_ms()[1]:
            self.sink.append(time_ms, self._numbers, self._values)
        self.due_ns = now_ns + self._period_ns(now_ns)


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
