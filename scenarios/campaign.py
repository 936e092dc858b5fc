"""trio: many runs of one scenario, over seeds and a grid of parameters: planned and checked at once, then run in workers.

Blocking: it is called by a command, and starts a trio loop of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.catalogue import Scenario
from scenarios.content import user_content
from scenarios.fitting import Fit, check_procs, fit, host_calibration
from scenarios.grid import cells
from scenarios.jobs import Job, Outcome, at_once, run_jobs
from scenarios.options import Options
from scenarios.parameters import fill
from scenarios.result import EXIT_INTERRUPTED
from scenarios.run_directory import new_run_directory
from scenarios.summaries import worst
from scenarios.tally import Tally
from scenarios.topology_file import read_topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Runs to be made: `workers` at once, each in a directory of its own below `directory`; `notes` say what was fitted."""

    scenario: Scenario
    directory: Path
    time: str
    jobs: Sequence[Job]
    workers: int
    quiet: bool
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The outcomes of a campaign in the order of its jobs; without those never started when it was interrupted."""

    campaign: Campaign
    outcomes: Sequence[Outcome]
    complete: bool

    @property
    def status(self) -> int:
        """Return the exit status: the worst of all runs, as DESIGN section 6 ranks them."""
        return worst(outcome.status for outcome in self.outcomes) if self.complete else EXIT_INTERRUPTED

    def results(self, **labels: str) -> list[Mapping[str, Any]]:
        """Return the results of the runs with these labels; those that wrote none are left out."""
        return [
            outcome.result
            for outcome in self.outcomes
            if outcome.result is not None and labels.items() <= outcome.job.labels.items()
        ]


def plan(
    name: str,
    scenario: Scenario,
    values: Mapping[str, object],
    *,
    options: Options,
    over: Mapping[str, Sequence[str]],
    seeds: range,
    title: str,
) -> Campaign:
    """Check every run of a campaign and make its directory, a new one below `runs/` or `options.out`.

    Args:
        name: the scenario as the user wrote it.
        scenario: what that is.
        values: parameter values by key, the same for all runs.
        options: how to run each; its seed is not used.
        over: the values of the swept keys, as text.
        seeds: of every combination.
        title: what the campaign is, for the directory's name.

    Raises:
        ConfigError: something is wrong with a run; nothing was made.
    """
    grid = list(cells(over, seeds))
    calibration = host_calibration() if options.time == "real" else None
    fits: dict[tuple[tuple[str, str], ...], Fit] = {}
    for labels in {tuple(labels.items()): labels for labels, _ in grid}.values():
        asked = {**values, **labels}
        params = fill(scenario.params, asked)
        params.link()
        read_topology(params)
        check_procs(options, params)
        # Once for all seeds: replicates with different demands could not be averaged.
        fits[tuple(labels.items())] = fit(params, options, given=asked, calibration=calibration)
    if options.content:
        user_content(options.content)
    directory = new_run_directory(options.out, scenario=f"{scenario.name}-{title}", seed=seeds[0])
    width = len(str(len(grid)))
    jobs = [
        Job(
            name=f"{number:0{width}}",
            scenario=name,
            seed=seed,
            time=options.time,
            values={
                key: _text(value) for key, value in {**values, **labels, **fits[tuple(labels.items())].values}.items()
            },
            labels=labels,
            content=options.content,
            procs=options.procs,
            out=directory / f"run-{number:0{width}}-seed{seed}",
        )
        for number, (labels, seed) in enumerate(grid, start=1)
    ]
    workers = min(at_once(options.time), len(jobs))
    return Campaign(
        scenario=scenario,
        directory=directory,
        time=options.time,
        jobs=jobs,
        workers=workers,
        quiet=options.quiet,
        notes=[_note(labels, one.note) for labels, one in fits.items() if one.note],
    )


def _note(labels: Sequence[tuple[str, str]], note: str) -> str:
    where = " ".join(f"{key}={value}" for key, value in labels)
    return f"{where}: {note}" if where else note


Runner = Callable[[Campaign, Callable[[Outcome], None]], bool]


def run_locally(campaign: Campaign, tell: Callable[[Outcome], None]) -> bool:
    """Run a campaign in worker processes of this machine; return whether all of it was run."""
    return run_jobs(campaign.jobs, workers=campaign.workers, tell=tell)


def run_campaign(campaign: Campaign, *, runner: Runner = run_locally) -> Findings:
    """Run a campaign with progress; a run that fails or is void is an outcome like any other. `runner` says where."""
    found: dict[str, Outcome] = {}
    with Tally(len(campaign.jobs), quiet=campaign.quiet) as tally:

        def tell(outcome: Outcome) -> None:
            found[outcome.job.name] = outcome
            tally.tell(outcome)

        complete = runner(campaign, tell)
    outcomes = [found[job.name] for job in campaign.jobs if job.name in found]
    return Findings(campaign=campaign, outcomes=outcomes, complete=complete)


def _text(value: object) -> str:
    """Return a value as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
