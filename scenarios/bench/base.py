"""Pure: what a bench is: a subject and a baseline, measured in turns, and a goal for the ratio of their medians.

One value stands for nothing on a machine that does other things as well. So baseline and subject take turns in one process
run, and what counts is the ratio of medians: a slow minute slows both.
"""

from __future__ import annotations

import abc
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

REPETITIONS = 7

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound on a figure's ratio, or (`of_subject`, in the figure's unit) on the subject's own value."""

    limit: float
    at_most: bool
    of_subject: bool = False

    def met_by(self, ratio: float, subject: float) -> bool:
        """Say whether a ratio of medians, or the subject's median, keeps the bound."""
        value = subject if self.of_subject else ratio
        return value <= self.limit if self.at_most else value >= self.limit

    def words(self, unit: str) -> str:
        """Return the bound in words; `unit` is the figure's."""
        of = f" {unit}" if self.of_subject else ""
        return f"at {'most' if self.at_most else 'least'} {self.limit:.4g}{of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One comparison: the values of the repetitions, all above 0, in `unit`.

    `what` says in words what was done to which baseline; `note` what a reader must know beside it.
    """

    name: str
    what: str
    unit: str
    subject: Sequence[float]
    baseline: Sequence[float]
    goal: Goal | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """Return the subject's median over the baseline's."""
        return statistics.median(self.subject) / statistics.median(self.baseline)

    @property
    def met(self) -> bool | None:
        """Say whether the goal is met; None without a goal."""
        return None if self.goal is None else self.goal.met_by(self.ratio, statistics.median(self.subject))

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as JSON has it; subject and baseline are medians."""
        return {
            "name": self.name,
            "what": self.what,
            "ratio": self.ratio,
            "subject": statistics.median(self.subject),
            "baseline": statistics.median(self.baseline),
            "unit": self.unit,
            "repetitions": len(self.subject),
            "ratios": [one / other for one, other in zip(self.subject, self.baseline, strict=True)],
            "goal": None if self.goal is None else self.goal.words(self.unit),
            "met": self.met,
            "note": self.note,
        }

    def lines(self) -> Iterator[str]:
        """Yield the figure as lines of text; a missed goal says so."""
        ratios = sorted(one / other for one, other in zip(self.subject, self.baseline, strict=True))
        verdict = "" if self.goal is None else f"; goal {self.goal.words(self.unit)}: {'met' if self.met else 'missed'}"
        turned = f" (1/{1 / self.ratio:.3g})" if self.ratio < 0.5 else ""
        yield f"{self.name}: ratio {self.ratio:.3g}{turned}{verdict}"
        yield (
            f"  {statistics.median(self.subject):.4g} against {statistics.median(self.baseline):.4g} {self.unit}, medians of "
            f"{len(self.subject)}; single ratios {ratios[0]:.3g} to {ratios[-1]:.3g}"
        )
        yield f"  {self.what}"
        if self.note:
            yield f"  {self.note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much a bench does: `scale` 1 is what its goal speaks of, `full` adds what takes minutes."""

    scale: float = 1.0
    repetitions: int = REPETITIONS
    full: bool = False

    def of(self, count: int, *, least: int = 1) -> int:
        """Return a count at this scale."""
        return max(least, round(count * self.scale))


class Bench(abc.ABC):
    """One bench; `name` finds it and `goal` says in words what is wanted."""

    name: ClassVar[str]
    goal: ClassVar[str]

    @abc.abstractmethod
    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Measure, and yield at least one figure; the first is the bench's own."""


def take_turns(
    subject: Callable[[], T], baseline: Callable[[], T], *, repetitions: int
) -> tuple[Sequence[T], Sequence[T]]:
    """Call baseline and subject in turns; return what the subject returned, and what the baseline did."""
    subjects: list[T] = []
    baselines: list[T] = []
    for _ in range(repetitions):
        baselines.append(baseline())
        subjects.append(subject())
    return subjects, baselines
