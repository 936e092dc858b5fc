"""Pure: what a metric family is: specs of metrics, the fold that fills them, and the panels that draw them, in one file.

A family is found by name in a package `metrics` (of netem, tracker, node or scenarios). The exposition for Prometheus, Grafana's
dashboards, the live page and the report are made from it; there is no second definition.

Source: DESIGN section 5; Prometheus' naming practice (base units, `_total`, closed sets of label values).
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from netem.events import Event
from netem.series import Bins, Series

Kind = Literal["counter", "gauge", "histogram"]
Look = Literal["timeseries", "stat", "table"]
Handler = Callable[[int, Any], None]  # time in Unix ns, event
HERE = 'instance=~"$instance"'  # the runs that a dashboard's variables select
DASHBOARDS = ("overview", "network", "market", "bank", "health")


@dataclass(frozen=True, slots=True)
class Label:
    """A label's name with the closed set of its values, or else the most values it may take."""

    name: str
    values: tuple[str, ...] = ()
    most: int = 0

    @property
    def bound(self) -> int:
        """Return how many values there can be."""
        return len(self.values) or self.most


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Args:
        name: begins with `swarmbed_` and ends with the base unit, a counter with `_total`.
        kind: a histogram has no labels.
        help: what makes it rise, or what it says.
        labels: bounded all of them; never a peer's, piece's or message's id.
        edges: a histogram's upper bucket limits, ascending, without infinity.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    edges: tuple[float, ...] = ()

    def series(self) -> Series | Bins:
        """Return its empty values; a counter whose label values are all known begins with zeros, so that `rate` sees the first event."""
        if self.kind == "histogram":
            return Bins(self.edges)
        series = Series([label.name for label in self.labels], [label.bound for label in self.labels])
        if self.kind == "counter" and all(label.values for label in self.labels):
            series.start([label.values for label in self.labels])
        return series


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One line of a panel: PromQL in which `{@` begins a selector of the shown runs, and the line's legend.

    `theory` draws it dashed: it is what a paper or a configuration says, beside what was measured.
    """

    expr: str
    legend: str
    theory: bool = False

    @property
    def promql(self) -> str:
        """Return the expression as dashboards have it."""
        return self.expr.replace("{@", "{" + HERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel of a dashboard.

    Args:
        dashboard: one of `DASHBOARDS`.
        order: panels of a dashboard are laid out by it, low first.
        title, description: the description says what a healthy run shows.
        unit: Grafana's id of the unit.
        queries: the lines, theory beside measurement.
        look: how it is drawn.
        width, height: in Grafana's grid of 24 columns.
        limit: values from here on are bad, and drawn red.
        bad_below: values below here are bad, and drawn red.
    """

    dashboard: str
    order: int
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    look: Look = "timeseries"
    width: int = 12
    height: int = 8
    limit: float | None = None
    bad_below: float | None = None


class Family(abc.ABC):
    """Metrics that are filled by one fold, or read from one part of the testbed when somebody asks.

    `name` finds it; `reads` names the part it needs, which comes as `source` once there is one (`attach`): until then there is
    nothing to read.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    panels: ClassVar[tuple[Panel, ...]]
    reads: ClassVar[str] = ""

    def __init__(self) -> None:
        self.series: dict[str, Series | Bins] = {metric.name: metric.series() for metric in self.metrics}
        self.source: Any = None

    def attach(self, part: str, source: object) -> None:
        """Take a part of the testbed, if this family reads it."""
        if part == self.reads:
            self.source = source

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return what to do with which events; each costs at most some microseconds."""
        return {}

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - for those that need the time
        """Bring the values up to date in steps of at most a few milliseconds, yielding between them."""
        return iter(())

    def add(self, metric: str, amount: float, *labels: str) -> None:
        """Add to a counter or gauge."""
        series = self.series[metric]
        assert isinstance(series, Series)
        series.add(amount, labels)

    def set(self, metric: str, value: float, *labels: str) -> None:
        """Set a gauge, or a counter that something else counts."""
        series = self.series[metric]
        assert isinstance(series, Series)
        series.set(value, labels)

    def value(self, metric: str, *labels: str) -> float:
        """Return the value of a counter or gauge, 0 when it has none."""
        series = self.series[metric]
        assert isinstance(series, Series)
        return series.get(labels)

    def clear(self, metric: str) -> None:
        """Forget all values of a metric."""
        series = self.series[metric]
        assert isinstance(series, Series)
        series.clear()

    def bins(self, metric: str) -> Bins:
        """Return a histogram."""
        series = self.series[metric]
        assert isinstance(series, Bins)
        return series


def counter(name: str, text: str, *labels: Label) -> Metric:
    """Return the spec of a counter."""
    return Metric(name=name, kind="counter", help=text, labels=labels)


def gauge(name: str, text: str, *labels: Label) -> Metric:
    """Return the spec of a gauge."""
    return Metric(name=name, kind="gauge", help=text, labels=labels)


def histogram(name: str, text: str, edges: Sequence[float]) -> Metric:
    """Return the spec of a histogram."""
    return Metric(name=name, kind="histogram", help=text, edges=tuple(edges))
