"""trio: metrics as Prometheus' text format, made in slices, so that answering a scrape never stalls the event loop.

What prometheus-client counts itself (the process, `Info`, the cost of scrapes) it renders itself. Families are rendered here from
plain numbers, with the names and labels of each series rendered once; the text is the same as `generate_latest` makes of them.

Source: DESIGN section 5; https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, GCCollector, Histogram, Info, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric as Exposed

from netem.events import Event
from netem.metric import Family, Handler, Metric
from netem.series import Bins, Key, Series
from scenarios.number_lines import number_lines

SERIES_PER_SLICE = 4_000  # some milliseconds
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SCRAPE_EDGES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Exposition:
    """All metric families of a run, and what prometheus-client has beside them.

    Args:
        families: the kinds, each of which is made once.
        info: about the run, for `swarmbed_run_info`.
        now_ns: reads the run's clock.

    Attributes:
        families: by name.
        registry: everything as one prometheus-client registry.
        scrape_s: prometheus-client's histogram of how long scrapes take.
    """

    def __init__(
        self, families: Mapping[str, type[Family]], *, info: Mapping[str, str], now_ns: Callable[[], int]
    ) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # its only way; a time stamp more a series says nothing here
        self.families = {name: kind() for name, kind in families.items()}
        self._now_ns = now_ns
        self._handlers: dict[type[Event], list[Handler]] = {}
        for family in self.families.values():
            for kind, handler in family.folds().items():
                self._handlers.setdefault(kind, []).append(handler)
        self._stock = stock = CollectorRegistry()
        ProcessCollector(registry=stock)
        PlatformCollector(registry=stock)
        GCCollector(registry=stock)
        Info("swarmbed_run", "The run: scenario, seed, clock and run directory.", registry=stock).info(dict(info))
        self.scrape_s = Histogram(
            "swarmbed_scrape_duration_seconds",
            "How long a reading of all metrics takes, for a scrape or for the live page, waiting between slices included.",
            registry=stock,
            buckets=_SCRAPE_EDGES_S,
        )
        self.registry = CollectorRegistry()
        self.registry.register(stock)
        self.registry.register(self)
        self._rendered: dict[str, _Rendered] = {}

    def fold(self, time_ns: int, event: Event) -> None:
        """Hand an event to the families that count it."""
        for handler in self._handlers.get(type(event), ()):
            handler(time_ns, event)

    def attach(self, part: str, source: object) -> None:
        """Hand a part of the testbed to the families that read it."""
        for family in self.families.values():
            family.attach(part, source)

    def stock(self) -> Iterator[Exposed]:
        """Yield what prometheus-client counts itself."""
        yield from self._stock.collect()

    def collect(self) -> Iterator[Exposed]:
        """Yield the families' metrics for prometheus-client: all at once, and slow."""
        for metric, series in self.gathered():
            if metric is not None:
                exposed = Exposed(metric.name.removesuffix("_total"), metric.help, metric.kind)
                for (suffix, labels), value in zip(series.keys, series.values, strict=True):
                    exposed.add_sample(metric.name + suffix, dict(labels), value)
                yield exposed

    def slices(self) -> Iterator[bytes]:
        """Yield the whole text in slices, each of which takes at most some milliseconds to make; some are empty."""
        yield prometheus_client.generate_latest(self._stock)
        for metric, series in self.gathered():
            if metric is None:
                yield b""
                continue
            if metric.name not in self._rendered:
                self._rendered[metric.name] = _Rendered(metric)
            yield from self._rendered[metric.name].slices(series)

    def gathered(self) -> Iterator[tuple[Metric | None, Series | Bins]]:
        """Yield every metric with its values once they are up to date; no metric where there is time for others."""
        for family in self.families.values():
            for _ in family.gather(self._now_ns()):
                yield None, _NOTHING
            for metric in family.metrics:
                yield metric, family.series[metric.name]


_NOTHING = Series()


class _Rendered:
    """What does not change of a metric's text: the head, and each series' name and labels."""

    def __init__(self, metric: Metric) -> None:
        self._name = metric.name
        text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
        self._head = f"# HELP {metric.name} {text}\n# TYPE {metric.name} {metric.kind}\n".encode()
        self._starts: list[str] = []
        self._era = 0

    def slices(self, series: Series | Bins) -> Iterator[bytes]:
        if series.era != self._era:
            self._starts.clear()
            self._era = series.era
        yield self._head
        values = series.values
        for begin in range(0, len(values), SERIES_PER_SLICE):
            part = values[begin : begin + SERIES_PER_SLICE]
            end = begin + len(part)
            missing = series.keys[len(self._starts) : end]
            self._starts += [self._start(key) for key in missing]
            yield number_lines(self._starts[begin:end], part)

    def _start(self, key: Key) -> str:
        suffix, labels = key
        inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels))
        return f"{self._name}{suffix}{{{inner}}} " if inner else f"{self._name}{suffix} "


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
