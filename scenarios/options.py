"""Pure: how to run a scenario, beside its own parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_SEED = 2**63 - 1  # what every file of a run can keep; the smallest is its negative


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The run's seed, clock (`real` or `virtual`), content and run directory (None: the defaults), and progress.

    `procs` processes share the nodes, beside the one with tracker and scenario; with 1 everything is in one process, and None
    takes as many as a calibrated host needs. `capture` keeps every packet in the run directory.
    """

    seed: int = 1
    time: str = "real"
    content: Path | None = None
    out: Path | None = None
    quiet: bool = False
    procs: int | None = 1
    capture: bool = False
