"""Pure: means over seeds with their intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean and the bounds of its confidence interval; None where there are too few values."""

    mean: float | None
    low: float | None = None
    high: float | None = None


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of independent values with its 95 % interval by Student's t.

    The interval is exact for normal values and good for means of about ten of anything not very skewed. One value has no
    interval, none has no mean; a value that is not finite has no place in either.
    """
    finite = [float(value) for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return Mean(finite[0] if finite else None)
    from scipy.special import stdtrit  # the quantiles of Student's t

    mean, spread = statistics.fmean(finite), statistics.stdev(finite)
    half = float(stdtrit(len(finite) - 1, (1 + LEVEL) / 2)) * spread / math.sqrt(len(finite))
    return Mean(mean, mean - half, mean + half)
