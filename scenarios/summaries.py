"""Pure: many runs summed up: a claim's mean over them with its interval, how often it held, and the worst that happened."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_WORST_FIRST = (130, 3, 2, 1, 0)  # DESIGN section 6: interrupted, void, refused, a claim failed, all hold
JUDGED = frozenset({0, 1})
"""The statuses of runs whose claims can be relied on: complete, and on a network that was what it should be."""

VERDICTS = {0: "all hold", 1: "claim failed", 2: "refused", 3: "void", 130: "interrupted"}

LEVEL = 0.95  # of the intervals of means


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One claim over several runs that made it.

    Attributes:
        predicted: the mean prediction; None where there are no numbers.
        measured: the mean measurement, with its interval.
        held, judged: in how many runs it held, of how many that judged it.
    """

    name: str
    predicted: float | None
    measured: Mean
    held: int
    judged: int

    def to_dict(self) -> dict[str, Any]:
        """Return the summary for JSON."""
        rest = {"held": self.held, "judged": self.judged}
        return {"name": self.name, "predicted": self.predicted, **asdict(self.measured), **rest}


def summarise(results: Iterable[Mapping[str, Any]]) -> list[Summary]:
    """Sum up the claims of runs, in the order in which they first come.

    Args:
        results: contents of result.json; those whose `status` is not in `JUDGED` are left out.
    """
    claims: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        if result["status"] in JUDGED:
            for claim in result["claims"]:
                claims.setdefault(claim["name"], []).append(claim)
    return [_summary(name, made) for name, made in claims.items()]


def _summary(name: str, made: Sequence[Mapping[str, Any]]) -> Summary:
    return Summary(
        name=name,
        predicted=mean_of(_numbers(claim["predicted"] for claim in made)).mean,
        measured=mean_of(_numbers(claim["measured"] for claim in made)),
        held=sum(claim["ok"] is True for claim in made),
        judged=sum(claim["ok"] is not None for claim in made),
    )


def _numbers(values: Iterable[Any]) -> list[float]:
    return [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def worst(statuses: Iterable[int]) -> int:
    """Return the status that outranks the others; 0 of none."""
    return min(statuses, key=_WORST_FIRST.index, default=0)
