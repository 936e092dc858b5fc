"""trio: `swarmbed claims`: play many scenarios as they are by default, and print all their claims in one table."""

from __future__ import annotations

from typing import Any

import click

from scenarios.asking import common_options, options_of, run_seed, say, write_answer


@click.command()
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@click.option("--seed", default="1", show_default=True, metavar="S", help="Seed of every run.")
@common_options(
    without=("nodes", "time_", "duration", "params_file", "settings", "content", "procs", "serve", "hold", "capture")
)
@click.option("--time", "time_", default="virtual", show_default=True, help="real or virtual.")
def command(scenarios: tuple[str, ...], **given: Any) -> int:
    """Play every SCENARIO (by default all there are) and print what theory predicts beside what was measured.

    In virtual time every core is used; in real time they go one after the other. Exit status: the worst of all runs, as of
    `swarmbed run`.
    """
    from scenarios.catalogue import scenario_named, scenario_names
    from scenarios.claims_table import overview_lines
    from scenarios.jobs import Job, Outcome, at_once, run_jobs
    from scenarios.result import EXIT_INTERRUPTED
    from scenarios.run_directory import new_run_directory
    from scenarios.summaries import worst
    from scenarios.tally import Tally

    names = list(dict.fromkeys(scenarios)) or scenario_names()
    for name in names:
        scenario_named(name)
    seed = run_seed(given["seed"])
    options = options_of({**given, "procs": None, "content": None}, seed=seed)
    directory = new_run_directory(options.out, scenario="claims", seed=seed)
    jobs = [
        Job(
            name=f"{number:02}",
            scenario=name,
            seed=seed,
            time=options.time,
            values={},
            labels={"scenario": name},
            content=None,
            out=directory / f"{number:02}-{name.removesuffix('.py').rpartition('/')[2]}",
        )
        for number, name in enumerate(names, start=1)
    ]
    say(f"seed {seed}, {len(jobs)} scenarios, {options.time} time", given)
    found: list[Outcome] = []
    with Tally(len(jobs), quiet=options.quiet) as tally:

        def tell(outcome: Outcome) -> None:
            found.append(outcome)
            tally.tell(outcome)

        complete = run_jobs(jobs, workers=at_once(options.time), tell=tell)
    found.sort(key=lambda outcome: outcome.job.name)
    for line in overview_lines(found):
        say(line, given)
    say(f"results     {directory}", given)
    status = worst(outcome.status for outcome in found) if complete else EXIT_INTERRUPTED
    runs = [
        {"scenario": o.job.scenario, "status": o.status, "claims": o.result["claims"] if o.result else None}
        for o in found
    ]
    write_answer(
        given["json_file"], {"seed": seed, "time": options.time, "runs": runs, "status": status}, kept=directory
    )
    return status
