"""Pure: functions over instant vectors and scalars, and the table of functions over windows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scenarios.promql import over_time, rates
from scenarios.promql.errors import BadQuery, ExecutionError
from scenarios.promql.frames import Frame, Mask, Numbers, empty, merged
from scenarios.promql.labels import Labels, Match, pattern, replaced
from scenarios.promql.windows import Windows

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)

# Functions of a window alone; each gives values and presence, (S, T).
OfWindows = Callable[[Windows], tuple[Numbers, Mask]]
OVER_WINDOWS: dict[str, OfWindows] = {
    "rate": lambda windows: rates.extrapolated(windows, is_counter=True, is_rate=True),
    "increase": lambda windows: rates.extrapolated(windows, is_counter=True, is_rate=False),
    "delta": lambda windows: rates.extrapolated(windows, is_counter=False, is_rate=False),
    "irate": rates.instant_rate,
    "avg_over_time": lambda windows: over_time.summarised(windows, over_time.average),
    "min_over_time": lambda windows: over_time.summarised(windows, over_time.least),
    "max_over_time": lambda windows: over_time.summarised(windows, over_time.most),
    "sum_over_time": lambda windows: over_time.summarised(windows, over_time.total),
    "count_over_time": over_time.counted,
    "last_over_time": over_time.last,
}
KEEPS_NAME = frozenset({"last_over_time"})

# Functions of a vector's values and scalars, (S, T) and (T,).
OF_VALUES: dict[str, Callable[..., Numbers]] = {"abs": np.abs, "clamp_min": np.maximum, "clamp_max": np.minimum}


def over_windows(windows: Windows, function: OfWindows, *, keeps_name: bool) -> Frame:
    """Return the vector of a function over windows: nothing where there are no samples at all.

    Raises:
        ExecutionError: two series are the same without their names.
    """
    if not windows.samples.times_ms.size:
        return empty(len(windows.ends_ms))
    frame = Frame(windows.samples.frame.labels, *function(windows)).filled()
    if keeps_name:
        return frame
    nameless = frame.nameless()
    if len(nameless.labels) < len(frame.labels):  # even where they never meet at a step
        raise ExecutionError("vector cannot contain metrics with the same labelset")
    return nameless


def of_values(name: str, frame: Frame, *scalars: Numbers) -> Frame:
    """Return a function of each value; the metric's name is dropped.

    Raises:
        ExecutionError: two series become the same without their names.
    """
    return replace(frame, values=OF_VALUES[name](frame.values, *scalars)).nameless()


def scalar(frame: Frame) -> Numbers:
    """Return the only element at each step, NaN where there is none or several."""
    alone = frame.present.sum(axis=0) == 1
    return np.where(alone, np.where(frame.present, frame.values, 0.0).sum(axis=0), np.nan)


def vector(values: Numbers) -> Frame:
    """Return a scalar as a vector of one element without labels."""
    return Frame(((),), values[None, :], np.ones((1, len(values)), bool))


def label_replace(frame: Frame, *, target: str, template: str, source: str, expression: str) -> Frame:
    """Return the vector with a label set from another, where the whole of that matches the expression.

    `$1` and `${name}` in the template stand for groups of the match.

    Raises:
        ExecutionError: no RE2 expression, no label name, or two series become the same.
    """
    try:
        matching = pattern(expression)
    except BadQuery as error:
        raise ExecutionError(f"invalid regular expression in label_replace(): {error}") from error
    if not LABEL_NAME.fullmatch(target):
        raise ExecutionError(f"invalid destination label name in label_replace(): {target}")

    def changed(labels: Labels) -> Labels:
        match = matching.fullmatch(dict(labels).get(source, ""))
        return labels if match is None else replaced(labels, target, _expanded(template, match, matching.groups))

    return merged([changed(labels) for labels in frame.labels], frame.values, frame.present)


def _expanded(template: str, match: Match, groups: int) -> str:
    def group(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        name = reference[2] or reference[3]
        if name.isdecimal():
            return (match.group(int(name)) or "") if int(name) <= groups else ""
        return _named(match, name)

    return _REFERENCE.sub(group, template)


def _named(match: Match, name: str) -> str:
    try:
        return match.group(name) or ""
    except (IndexError, KeyError):  # no such group: nothing, as in Go
        return ""
