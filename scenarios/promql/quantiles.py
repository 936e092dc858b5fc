"""Pure: quantiles of the samples that are there, by Prometheus's linear interpolation."""

from __future__ import annotations

import numpy as np

from scenarios.promql.frames import Integers, Mask, Numbers


def quantile(share: Numbers, values: Numbers, present: Mask) -> Numbers:
    """Return the quantile along the last axis of (..., N) values; `share` broadcasts to (...), NaN sorts before any number.

    A share below 0 gives -Inf, above 1 +Inf, NaN gives NaN. Where no value is present the result means nothing.

    Source: Prometheus 2.42, promql/quantile.go, quantile.
    """
    not_numbers = (present & np.isnan(values)).sum(axis=-1)
    count = present.sum(axis=-1)
    ordered = np.sort(np.where(present & ~np.isnan(values), values, np.inf), axis=-1)
    with np.errstate(invalid="ignore"):
        rank = np.nan_to_num(np.clip(share, 0, 1)) * (count - 1)
        lower = np.floor(np.maximum(rank, 0)).astype(np.int64)
        upper = np.minimum(lower + 1, np.maximum(count - 1, 0))
        weight = rank - np.floor(rank)
        found = _at(ordered, lower, not_numbers) * (1 - weight) + _at(ordered, upper, not_numbers) * weight
    return np.select([np.isnan(share), share < 0, share > 1], [np.nan, -np.inf, np.inf], found)


def _at(ordered: Numbers, place: Integers, not_numbers: Integers) -> Numbers:
    column = np.clip(place - not_numbers, 0, ordered.shape[-1] - 1)
    taken = np.take_along_axis(ordered, column[..., None], axis=-1)[..., 0]
    return np.where(place < not_numbers, np.nan, taken)
