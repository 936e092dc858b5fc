"""trio: what a person sees while many runs go on: a line for each that ended, and on a terminal a bar below them.

It writes to standard error and has no part in the runs.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scenarios.jobs import Outcome
from scenarios.summaries import VERDICTS


class Tally:
    """Tell about runs as they end; `total` are expected."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._quiet = quiet
        console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
        self._task = self._bar.add_task("runs", total=total)

    def tell(self, outcome: Outcome) -> None:
        """Tell how a run ended."""
        self._bar.advance(self._task)
        if not self._quiet:
            self._bar.console.print(line_of(outcome))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def line_of(outcome: Outcome) -> str:
    """Say in a line what was run and how it ended."""
    job = outcome.job
    what = " ".join([*(f"{key}={value}" for key, value in job.labels.items()), f"seed {job.seed}"])
    why = f": {outcome.said}" if outcome.said else ""
    return f"{job.name}  {what}: {VERDICTS[outcome.status]} after {outcome.wall_s:.1f} s{why}"
