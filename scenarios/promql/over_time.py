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
    return _compensated(samples, there, is_mean=False)


def average(samples: Numbers, there: Mask) -> Numbers:
    """Return the mean of each window; that of equal samples is exactly their value."""
    return _compensated(samples, there, is_mean=True)


def _compensated(samples: Numbers, there: Mask, *, is_mean: bool) -> Numbers:
    """Return sums or means with Neumaier's compensation, sample by sample: the bits of Prometheus's.

    A rate over means would take a last bit that fell for the reset of a counter, so "nearly equal" is not enough.

    Source: Prometheus 2.42, promql/functions.go, kahanSumInc and funcAvgOverTime.
    """
    so_far, rest, count = (np.zeros(samples.shape[:2]) for _ in range(3))
    for place in range(samples.shape[2]):
        sample, adds = samples[:, :, place], there[:, :, place]
        count += adds
        if is_mean:  # an infinite mean stays, unless NaN or the other infinity comes
            adds = adds & ~(np.isinf(so_far) & (np.isfinite(sample) | (sample == so_far)))
            sample = sample / count - so_far / count
        larger = so_far + sample
        lost = np.where(np.abs(so_far) >= np.abs(sample), (so_far - larger) + sample, (sample - larger) + so_far)
        rest, so_far = np.where(adds, rest + lost, rest), np.where(adds, larger, so_far)
    return np.where(np.isinf(so_far), so_far, so_far + rest)


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
