"""Pure: the dashboards' panels with their numbers: each query evaluated over the whole run, as the live page asks it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netem.metric import DASHBOARDS, Panel
from scenarios.metrics import families
from scenarios.promql.errors import QueryError
from scenarios.promql.frames import Numbers
from scenarios.promql.labels import Labels
from scenarios.promql.queries import evaluate_range
from scenarios.promql.store import SampleStore

TITLES = {
    "overview": "Overview",
    "network": "Network",
    "market": "Market",
    "bank": "Bank",
    "health": "Testbed health",
}
MOST_STEPS = 240
_JUDGED, _CLAIM = "$claim", "swarmbed_claim_"


@dataclass(frozen=True, slots=True)
class Window:
    """What time is drawn: Unix ms, and how far apart samples and evaluation steps are."""

    start_ms: int
    end_ms: int
    sample_ms: int

    @property
    def first_ms(self) -> int:
        """Return the first point in time; the last is the run's end, where the verdict is."""
        return self.end_ms - (self.end_ms - self.start_ms) // self.step_ms * self.step_ms

    @property
    def step_ms(self) -> int:
        """Return the time between two points."""
        return self.sample_ms * max(1, -(-(self.end_ms - self.start_ms) // (MOST_STEPS * self.sample_ms)))

    def concrete(self, promql: str) -> str:
        """Put values in place of a dashboard's macros and variables; the whole run is shown, and all of it."""
        rate_s = -(-max(self.step_ms + self.sample_ms, 4 * self.sample_ms) // 1000)
        range_s = max(1, -(-(self.end_ms - self.start_ms) // 1000))
        macros = {"__rate_interval": f"{rate_s}s", "__range": f"{range_s}s", "__interval": f"{self.step_ms}ms"}
        return re.sub(r"\$(\w+)", lambda found: macros.get(found[1], ".*"), promql)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel: `values` (T,), NaN where there is none, and the labels that tell it from the query's others."""

    legend: str
    labels: Labels
    query: int
    theory: bool
    values: Numbers

    @property
    def last(self) -> float:
        """Return the newest value."""
        there = self.values[~np.isnan(self.values)]
        return float(there[-1]) if there.size else float("nan")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A panel with its lines; `times_s` (T,) are since the run's start. `trouble` says why there are none, if that is known."""

    panel: Panel
    times_s: Numbers
    lines: list[Line]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fault: when, in seconds since the run's start, and of which kind."""

    at_s: float
    kind: str


def boards() -> dict[str, list[Panel]]:
    """Return the panels of every dashboard, in their order; those about single claims are left to the table of claims."""
    found = [panel for family in families().values() for panel in family.panels if not _about_claims(panel)]
    found.sort(key=lambda panel: panel.order)
    return {name: [panel for panel in found if panel.dashboard == name] for name in DASHBOARDS}


def _about_claims(panel: Panel) -> bool:
    about = _CLAIM if panel.look == "table" else _JUDGED
    return any(about in query.promql for query in panel.queries)


def drawing_of(store: SampleStore, panel: Panel, window: Window) -> Drawing:
    """Evaluate a panel's queries."""
    lines: list[Line] = []
    trouble = ""
    for number, query in enumerate(panel.queries):
        try:
            found = evaluate_range(
                store,
                window.concrete(query.promql),
                start_ms=window.first_ms,
                end_ms=window.end_ms,
                step_ms=window.step_ms,
            )
        except QueryError as fault:
            trouble = str(fault)
            continue
        values = np.where(found.frame.present, found.frame.values, np.nan)
        for labels, row in zip(found.frame.labels, values, strict=True):
            if np.isfinite(row).any():
                lines.append(Line(_legend(query.legend, dict(labels)), _plain(labels), number, query.theory, row))
    times_ms = np.arange(window.first_ms, window.end_ms + 1, window.step_ms)
    return Drawing(panel, (times_ms - window.start_ms) / 1000, lines, trouble)


def marks_of(faults: Sequence[tuple[int, str]], window: Window) -> list[Mark]:
    """Return faults (Unix ns, kind) as marks, in their order."""
    return [Mark((time_ns / 10**6 - window.start_ms) / 1000, kind) for time_ns, kind in faults]


def _legend(text: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), text)


def _plain(labels: Labels) -> Labels:
    return tuple((name, value) for name, value in labels if name != "__name__")
