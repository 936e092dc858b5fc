"""Pure: from a selector in the syntax tree to samples: matchers, offsets, and the value at each step with its five minutes of lookback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from promql_parser import Matchers, MatchOp, VectorSelector

from scenarios.promql.errors import outside_subset
from scenarios.promql.frames import Frame, Integers, Samples, empty
from scenarios.promql.labels import NAME, Matcher
from scenarios.promql.store import SampleStore

if TYPE_CHECKING:  # a duration is read here, no clock
    from datetime import timedelta

LOOKBACK_MS = 300_000


def milliseconds(duration: timedelta | None) -> int:
    """Return a duration (ms); none is 0."""
    if duration is None:
        return 0
    return duration.days * 86_400_000 + duration.seconds * 1000 + duration.microseconds // 1000


def matchers_of(selector: VectorSelector) -> tuple[Matcher, ...]:
    """Return a selector's conditions, the one on the metric's name among them.

    Raises:
        BadQuery: alternatives (`or`) between conditions, or an `@` modifier.
    """
    if selector.at is not None:
        raise outside_subset("the @ modifier")
    named = () if selector.name is None else (Matcher(NAME, "=", selector.name),)
    return named + tuple(_conditions(selector.matchers))


def _conditions(matchers: Matchers) -> list[Matcher]:
    if matchers.or_matchers:
        raise outside_subset("`or` between matchers")
    return [Matcher(matcher.name, _operator(matcher.op), matcher.value) for matcher in matchers.matchers]


def _operator(op: MatchOp) -> str:
    if op == MatchOp.Equal:
        return "="
    if op == MatchOp.NotEqual:
        return "!="
    return "=~" if op == MatchOp.Re else "!~"


def selected(store: SampleStore, selector: VectorSelector, *, start_ms: int, end_ms: int) -> Samples:
    """Return the samples of a selector between two times, both inclusive; its offset is the caller's to apply."""
    return store.samples(store.select(matchers_of(selector)), start_ms=start_ms, end_ms=end_ms)


def instant(store: SampleStore, selector: VectorSelector, steps_ms: Integers) -> Frame:
    """Return the newest sample of each series at each step, unless it is older than five minutes or the series has ended."""
    at_ms = steps_ms - milliseconds(selector.offset)
    samples = selected(store, selector, start_ms=int(at_ms[0]) - LOOKBACK_MS, end_ms=int(at_ms[-1]))
    return newest(samples, at_ms)


def newest(samples: Samples, at_ms: Integers) -> Frame:
    """Return the newest sample of each series at each time, at most five minutes old."""
    if not samples.times_ms.size:
        return empty(len(at_ms))
    column = np.searchsorted(samples.times_ms, at_ms, "right") - 1
    recent = (column >= 0) & (samples.times_ms[column] >= at_ms - LOOKBACK_MS)
    frame = samples.frame
    return Frame(frame.labels, frame.values[:, column], frame.present[:, column] & recent).filled()
