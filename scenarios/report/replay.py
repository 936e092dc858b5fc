"""trio: a finished run's samples once more: its events folded again, and what it recorded beside them. Blocking, outside a run.

The trace is read as a stream, whatever its size. Between two recorded samples values are taken to
change evenly.

Source: DESIGN section 5 (the report is a fold over the run's one event stream).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from netem.clock import S
from netem.errors import ConfigError
from netem.events import Event, kind_of
from netem.faults import FaultMade
from netem.metric import Handler
from scenarios.finished_run import FinishedRun
from scenarios.metrics import families
from scenarios.metrics.claims import Claims
from scenarios.page.ticker import ROUTINE, Ticker
from scenarios.promql.frames import Integers, Numbers
from scenarios.promql.store import SampleStore
from scenarios.recording import INSTANCE
from scenarios.report.stated import stated_claims
from scenarios.sample_file import FILE, Recorded, read_samples
from scenarios.sampling import JOB, Numbered, describe

MOST_SAMPLES = 3_600
EVENTS_PER_TURN = 10_000
_TARGET = {"instance": INSTANCE, "job": JOB}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a run directory tells over time.

    Attributes:
        store: samples of all metrics that could be had, under the instance `INSTANCE`.
        ticker: the last events in words.
        recorded: what the run itself sampled.
        faults: what was done to the network: when (Unix ns), and its kind.
        started_ns, ended_ns: the first and the last moment there is a sample of.
        notes: what is missing, for a person.
    """

    store: SampleStore
    ticker: Ticker
    recorded: Recorded
    faults: list[tuple[int, str]]
    started_ns: int
    ended_ns: int
    notes: list[str]


def replay(run: FinishedRun, *, turn: Callable[[int], None]) -> Replayed:
    """Fold a run's trace again; `turn` is called now and then with the number of events read.

    Raises:
        ConfigError: a file of the run is missing or damaged.
    """
    recorded = read_samples(run.directory / FILE)
    fold = _Fold(run.result)
    trace = run.trace()
    for number, (time_ns, event) in enumerate(trace.read()):
        match time_ns, event:
            case int(), [str(kind), *_]:
                fold.take(time_ns, kind, event)
            case _:
                raise ConfigError(
                    "RUN_DIR", str(trace.path), f"a run directory with a readable trace (record {number})"
                )
        if not number % EVENTS_PER_TURN:
            turn(number)
    if recorded.times_ms.size:
        fold.wait_until(int(recorded.times_ms[-1]) * 10**6)
    fold.end()
    _fill(fold, recorded)
    notes = fold.notes()
    if trace.cut_off:
        notes.append("the trace ends in the midst of an event: the run was killed")
    if not recorded.times_ms.size:
        notes.append("the run kept no samples: metrics that are not made of its events are missing")
    fold.ticker.names.update({node: name for node, name, _ in recorded.nodes})
    return Replayed(
        fold.store, fold.ticker, recorded, fold.faults, started_ns=fold.started_ns, ended_ns=fold.now_ns, notes=notes
    )


class _Fold:
    """Families that are folds over events, sampled every so often; beyond twice `MOST_SAMPLES` every second sample goes."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.store = SampleStore()
        self.ticker = Ticker(0)
        self.rows: list[tuple[int, array[int], array[float]]] = []
        self._known: dict[str, Numbered] = {}
        self.faults: list[tuple[int, str]] = []
        self.started_ns = self.now_ns = 0
        self._families = [kind() for kind in families().values()]
        describe(self.store.descriptions, self._families)
        self._folded = [family for family in self._families if not family.reads]
        self._handlers: dict[str, list[Handler]] = {}
        for family in self._folded:
            for kind, handler in family.folds().items():
                self._handlers.setdefault(kind_of(kind), []).append(handler)
        self._kinds = {kind_of(kind): kind for kind in _all_kinds(Event)}
        self._result = result
        self._step_ns = S
        self._due_ns = 0
        self._unread = 0

    def take(self, time_ns: int, name: str, event: list[Any]) -> None:
        """Take an event of that name, as the trace has it."""
        if not self.started_ns:
            self._begin(time_ns)
        self.wait_until(time_ns)
        kind = self._kinds.get(name)
        handlers = self._handlers.get(name, ())
        if kind is None or (not handlers and kind in ROUTINE):
            return
        try:
            read = msgspec.convert(event, kind)
        except msgspec.ValidationError:  # an older version's
            self._unread += 1
            return
        for handler in handlers:
            handler(time_ns, read)
        self.ticker.fold(time_ns, read)
        if isinstance(read, FaultMade):
            self.faults.append((time_ns, read.kind))

    def wait_until(self, time_ns: int) -> None:
        """Let time pass."""
        if not self.started_ns:
            self._begin(time_ns)
        while time_ns >= self._due_ns:
            self._sample(self._due_ns)
            self._due_ns += self._step_ns
        self.now_ns = max(self.now_ns, time_ns)

    def end(self) -> None:
        """Take the verdict and the last sample."""
        for family in self._families:
            if isinstance(family, Claims):
                family.judged(stated_claims(self._result))
        self._sample(self.now_ns)

    def notes(self) -> list[str]:
        """Return what a reader should know."""
        return [f"{self._unread} events of another version were left out"] if self._unread else []

    def _begin(self, time_ns: int) -> None:
        self.started_ns = self.now_ns = self._due_ns = time_ns
        self.ticker = Ticker(time_ns)

    def _sample(self, time_ns: int) -> None:
        numbers, values = array("q"), array("d")
        for family in self._folded:
            for metric in family.metrics:
                series = family.series[metric.name]
                known = self._known.setdefault(metric.name, Numbered(metric))
                for _ in known.follow(series, self.store, _TARGET):
                    pass
                numbers.extend(known.numbers)
                values.extend(series.values)
        time_ms = time_ns // 10**6
        if self.rows and self.rows[-1][0] >= time_ms:
            self.rows.pop()
        self.rows.append((time_ms, numbers, values))
        self.ticker.turn()
        if len(self.rows) > 2 * MOST_SAMPLES:
            self.rows = self.rows[::2]
            self._step_ns *= 2


def _fill(fold: _Fold, recorded: Recorded) -> None:
    """Put the samples of both kinds into the store."""
    store = fold.store
    times_ms = np.array([time_ms for time_ms, _, _ in fold.rows], np.int64)
    others = np.array([store.series(name, {**labels, **_TARGET}) for name, labels in recorded.series], np.int64)
    values = _at(recorded, times_ms)
    for place, (time_ms, numbers, told) in enumerate(fold.rows):
        here = np.flatnonzero(~np.isnan(values[:, place]))
        store.append(
            time_ms,
            np.concatenate((np.frombuffer(numbers, np.int64), others[here])),
            np.concatenate((np.frombuffer(told), values[here, place])),
        )


def _at(recorded: Recorded, times_ms: Integers) -> Numbers:
    """Return the recorded values, (S, T), at other times: NaN where there are none."""
    values = np.full((len(recorded.series), len(times_ms)), np.nan)
    if recorded.times_ms.size:
        for row, told in enumerate(recorded.values):
            values[row] = np.interp(times_ms, recorded.times_ms, told, left=np.nan)
    return values


def _all_kinds(base: type[Event]) -> list[type[Event]]:
    return [kind for child in base.__subclasses__() for kind in (child, *_all_kinds(child))]
