"""Pure: quantiles of classic histograms, whose buckets are series with their upper bound in the label `le`."""

from __future__ import annotations

import numpy as np

from scenarios.promql.frames import Frame, Mask, Numbers, empty, grouped
from scenarios.promql.labels import NAME, drop


def histogram_quantile(share: Numbers, frame: Frame) -> Frame:
    """Return the quantile of each histogram at each step, linear within its bucket; `share` is (T,).

    A share below 0 gives -Inf, above 1 +Inf; a histogram without +Inf bucket, without another, or without observations gives
    NaN. Series without a number in `le` are left out.

    Source: Prometheus 2.42, promql/quantile.go, bucketQuantile.
    """
    bounds = np.array([_bound(dict(labels).get("le", "")) for labels in frame.labels])
    buckets = frame.taken(np.flatnonzero(~np.isnan(bounds))) if len(bounds) else frame
    bounds = bounds[~np.isnan(bounds)] if len(bounds) else bounds
    keys, groups = grouped([drop(labels, {"le", NAME}) for labels in buckets.labels])
    if not keys:
        return empty(len(share))
    values = np.zeros((len(keys), len(share)))
    present = np.zeros((len(keys), len(share)), bool)
    for place, group in enumerate(groups):
        rows = np.array(group)[np.argsort(bounds[group], kind="stable")]
        present[place] = buckets.present[rows].any(axis=0)
        values[place] = _by_pattern(share, bounds[rows], buckets.values[rows], present=buckets.present[rows])
    return Frame(tuple(keys), values, present)


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _by_pattern(share: Numbers, bounds: Numbers, counts: Numbers, *, present: Mask) -> Numbers:
    """Return one histogram's quantiles (T,), step by step with the same buckets together."""
    if present.all():
        return _of_buckets(share, bounds, counts)
    patterns, which = np.unique(present, axis=1, return_inverse=True)
    found = np.full(len(share), np.nan)
    for number in range(patterns.shape[1]):
        rows, steps = np.flatnonzero(patterns[:, number]), np.flatnonzero(which.ravel() == number)
        if rows.size:
            found[steps] = _of_buckets(share[steps], bounds[rows], counts[np.ix_(rows, steps)])
    return found


def _of_buckets(share: Numbers, bounds: Numbers, counts: Numbers) -> Numbers:
    """Return quantiles (T,) of buckets with rising bounds (B,) and cumulative counts (B, T)."""
    starts = np.flatnonzero(np.concatenate([[True], bounds[1:] != bounds[:-1]]))
    upper, counts = bounds[starts], np.add.reduceat(counts, starts, axis=0)
    if np.isposinf(upper[-1]) and len(upper) > 1:
        found = _interpolated(share, upper, np.maximum.accumulate(counts, axis=0))
    else:
        found = np.full(len(share), np.nan)
    outside = [np.isnan(share), share < 0, share > 1]
    return np.select(outside, [np.nan, -np.inf, np.inf], found)


def _interpolated(share: Numbers, upper: Numbers, counts: Numbers) -> Numbers:
    steps, highest = np.arange(len(share)), len(upper) - 1
    with np.errstate(all="ignore"):  # no observations: 0 / 0, which is the NaN wanted
        rank = share * counts[-1]
        bucket = np.where((counts[:-1] >= rank).any(axis=0), (counts[:-1] >= rank).argmax(axis=0), highest)
        below = np.where(bucket > 0, counts[np.maximum(bucket - 1, 0), steps], 0.0)
        start = np.where(bucket > 0, upper[np.maximum(bucket - 1, 0)], 0.0)
        inside = start + (upper[bucket] - start) * ((rank - below) / (counts[bucket, steps] - below))
        first_is_below_zero = (bucket == 0) & (upper[0] <= 0)
        found = np.where(first_is_below_zero, upper[0], np.where(bucket == highest, upper[-2], inside))
    return np.where(counts[-1] == 0, np.nan, found)
