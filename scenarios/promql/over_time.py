"""Pure: the functions that summarise all samples of a window: avg_over_time and its kin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scenarios.promql.frames import Mask, Numbers
from scenarios.promql.quantiles import quantile
from scenarios.promql.windows import Edges, Windows

Summary = Callable[[Numbers, Mask], Numbers]


def summarised(windows: Windows, summary: Summary) -> tuple[Numbers, Mask]:
    """Return a summary of the samples of each window, (S, T), and where there is any sample."""
    values, present = np.zeros(windows.shape), np.zeros(windows.shape, bool)
    for rows, samples, there in windows.slices():
        present[rows] = there.any(axis=2)
        if samples.shape[2]:
            with np.errstate(all="ignore"):  # empty windows are computed and not used
                values[rows] = summary(samples, there)
    return values, present


def total(samples: Numbers, there: Mask) -> Numbers:
    """Return the sum of each window."""
    summed: Numbers = np.where(there, samples, 0.0).sum(axis=2)
    return summed


def average(samples: Numbers, there: Mask) -> Numbers:
    """Return the mean of each window."""
    mean: Numbers = total(samples, there) / there.sum(axis=2)
    return mean


def least(samples: Numbers, there: Mask) -> Numbers:
    """Return the minimum of each window; NaN only where there is nothing else."""
    smallest: Numbers = np.fmin.reduce(np.where(there, samples, np.nan), axis=2)
    return smallest


def most(samples: Numbers, there: Mask) -> Numbers:
    """Return the maximum of each window; NaN only where there is nothing else."""
    largest: Numbers = np.fmax.reduce(np.where(there, samples, np.nan), axis=2)
    return largest


def quantile_summary(share: Numbers) -> Summary:
    """Return the summary that takes a quantile of each window; `share` is (T,)."""
    return lambda samples, there: quantile(share, samples, there)


def counted(windows: Windows) -> tuple[Numbers, Mask]:
    """Return how many samples each window has, and where there is any."""
    count = windows.edges().count
    return count.astype(np.float64), count > 0


def last(windows: Windows) -> tuple[Numbers, Mask]:
    """Return the last sample of each window, and where there is any."""
    edges = windows.edges()
    return Edges.at(windows.samples.frame.values, edges.last), edges.count > 0
