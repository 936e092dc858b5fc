"""Pure: rate, increase, delta and irate over windows, with Prometheus's counter resets and extrapolation."""

from __future__ import annotations

import numpy as np

from scenarios.promql.frames import Integers, Mask, Numbers
from scenarios.promql.windows import Edges, Windows

FAR = 1.1  # a window's end is far from its samples when it is further than this many average intervals


def extrapolated(windows: Windows, *, is_counter: bool, is_rate: bool) -> tuple[Numbers, Mask]:
    """Return the change over each window and where there is one: at least two samples.

    The change between the first and the last sample is extrapolated to the ends of the window, or by half an average interval
    where an end is far; a counter is never extrapolated below zero. A counter that falls has started again from zero. With
    `is_rate` the change is per second.

    Source: Prometheus 2.42, promql/functions.go, extrapolatedRate.
    """
    edges = windows.edges()
    change = _change(windows, edges, is_counter=is_counter)
    times = windows.samples.times_ms
    first_ms, last_ms = times[edges.first], times[edges.last]
    with np.errstate(all="ignore"):  # windows with fewer than two samples are computed and not used
        sampled_s = (last_ms - first_ms) / 1000
        average_s = sampled_s / (edges.count - 1)
        to_start_s = (first_ms - (windows.ends_ms - windows.range_ms)) / 1000
        to_end_s = (windows.ends_ms - last_ms) / 1000
        if is_counter:
            first = Edges.at(windows.samples.frame.values, edges.first)
            to_zero_s = np.where((change > 0) & (first >= 0), sampled_s * (first / change), np.inf)
            to_start_s = np.where(to_zero_s < to_start_s, to_zero_s, to_start_s)
        covered_s = sampled_s + _reach(to_start_s, average_s) + _reach(to_end_s, average_s)
        factor = covered_s / sampled_s
        if is_rate:
            factor = factor / (windows.range_ms / 1000)
        return change * factor, edges.count >= 2


def _reach(gap_s: Numbers, average_s: Numbers) -> Numbers:
    return np.where(gap_s < average_s * FAR, gap_s, average_s / 2)


def _change(windows: Windows, edges: Edges, *, is_counter: bool) -> Numbers:
    values = windows.samples.frame.values
    with np.errstate(invalid="ignore"):
        change: Numbers = Edges.at(values, edges.last) - Edges.at(values, edges.first)
        if is_counter and values.shape[1]:
            _add_resets(change, windows, edges)
    return change


def _add_resets(change: Numbers, windows: Windows, edges: Edges) -> None:
    """Add to each window's change what its counters had when they were reset, in the order of time as Prometheus does."""
    frame = windows.samples.frame
    held = np.maximum.accumulate(np.where(frame.present, np.arange(frame.values.shape[1]), 0), axis=1)
    values = np.take_along_axis(
        frame.values, held, axis=1
    )  # ended series keep their last value: a gap alone is no reset
    fell = values[:, 1:] < values[:, :-1]
    low, high = windows.columns()
    first, last = np.broadcast_to(edges.first, change.shape), np.broadcast_to(edges.last, change.shape)
    for column in (np.flatnonzero(fell.any(axis=0)) + 1).tolist():
        rows = np.flatnonzero(fell[:, column - 1])
        steps = slice(np.searchsorted(high, column, "right"), np.searchsorted(low, column, "right"))
        inside = (first[rows, steps] < column) & (last[rows, steps] >= column)
        change[rows, steps] += np.where(inside, values[rows, column - 1][:, None], 0.0)


def instant_rate(windows: Windows) -> tuple[Numbers, Mask]:
    """Return the change per second between the last two samples of each window, and where there are two.

    Source: Prometheus 2.42, promql/functions.go, instantValue.
    """
    values, present = np.zeros(windows.shape), np.zeros(windows.shape, bool)
    low, high = windows.columns()
    most = int((high - low).max(initial=0))
    column = low[:, None] + np.arange(most)
    inside = column < high[:, None]
    times = windows.samples.times_ms[np.where(inside, column, 0)] if most else np.zeros((len(low), 0), np.int64)
    for rows, samples, there in windows.slices():
        values[rows], present[rows] = _last_two(samples, there, times)
    return values, present


def _last_two(samples: Numbers, there: Mask, times: Integers) -> tuple[Numbers, Mask]:
    count = there.sum(axis=2)
    if samples.shape[2] < 2:
        return np.zeros(count.shape), count >= 2
    position = np.where(there, np.arange(samples.shape[2]), -1)
    position.partition((-2, -1), axis=2)
    before, last = np.maximum(position[:, :, -2:-1], 0), np.maximum(position[:, :, -1:], 0)
    value, previous = np.take_along_axis(samples, last, 2)[..., 0], np.take_along_axis(samples, before, 2)[..., 0]
    window = np.broadcast_to(times, samples.shape)
    apart_s = (np.take_along_axis(window, last, 2) - np.take_along_axis(window, before, 2))[..., 0] / 1000
    with np.errstate(all="ignore"):  # where there are no two samples
        return np.where(value < previous, value, value - previous) / apart_s, count >= 2
