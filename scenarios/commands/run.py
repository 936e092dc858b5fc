"""trio: `swarmbed run`: play a scenario in this process, or over several seeds in worker processes.

Source: DESIGN section 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from netem.errors import ConfigError
from scenarios.asking import common_options, options_of, run_seed, say, values_of, whole_number, write_answer
from scenarios.cli import again

if TYPE_CHECKING:
    from scenarios.catalogue import Scenario
    from scenarios.options import Options
    from scenarios.watch import Watch

MOST_REPLICATES = 10_000


@click.command()
@click.argument("scenario", metavar="SCENARIO|FILE.py")
@click.option("--seed", default="1", show_default=True, help="The run's seed, a whole number.")
@click.option("--replicates", metavar="R", help="Run seeds SEED to SEED+R-1; print means with 95 % intervals.")
@common_options()
def command(scenario: str, **given: Any) -> int:
    """Run SCENARIO (or your own FILE.py) and print its claims.

    Exit status: 0 all hold, 1 a claim failed, 2 usage, 3 void, 130 after Ctrl-C (or SIGTERM); of several runs the worst.
    """
    from scenarios.catalogue import scenario_named

    chosen = scenario_named(scenario)
    seed = run_seed(given["seed"])
    if given["replicates"] is not None:
        for option in ("serve", "capture"):
            if given[option]:
                raise ConfigError(f"--{option}", given[option], "a single run, without --replicates")
        return _replicate(scenario, chosen, given, options=options_of(given, seed=seed))
    return play(chosen, given, seed=seed)


def play(chosen: Scenario, given: dict[str, Any], *, seed: int) -> int:
    """Run a scenario as the command's options say, serve it if told to, and print what came out; return the exit status."""
    say(f"seed {seed}", given)
    if given["serve"] is None:
        if given["hold"]:
            raise ConfigError("--hold", "without --serve", "together with --serve PORT")
        return _play(chosen, given, seed=seed, watch=None)
    port = whole_number("--serve", given["serve"], low=0, high=65_535)
    from scenarios.serving import listening
    from scenarios.watch import Watch

    hold = given["hold"] or given["time_"] == "virtual"  # of a simulated run there is nothing to see before its end
    with listening(port) as listener:
        watch = Watch(listener, hold=hold)
        when = " (when the simulated run is over)" if given["time_"] == "virtual" else ""
        say(f"live page at {watch.address} (metrics at {watch.address}/metrics){when}", given)
        status = _play(chosen, given, seed=seed, watch=watch)
        if hold:
            say(f"the run is over; its page stays at {watch.address} until Ctrl-C", given)
        watch.serve_end()
        return status


def _play(chosen: Scenario, given: dict[str, Any], *, seed: int, watch: Watch | None) -> int:
    from scenarios.fitting import check_procs, fit
    from scenarios.parameters import fill
    from scenarios.runner import run_scenario
    from scenarios.tables import result_lines

    options, values = options_of(given, seed=seed), values_of(given)
    params = fill(chosen.params, values)
    check_procs(options, params)
    fitted = fit(params, options, given=values)
    if fitted.note:
        say(fitted.note, given)
    if fitted.warning:
        click.echo(f"swarmbed: warning: {fitted.warning}", err=True)
    result = run_scenario(chosen, {**values, **fitted.values}, fitted.options, watch=watch)
    for line in result_lines(result, again=again() + fitted.settings):
        say(line, given)
    write_answer(given["json_file"], result.to_dict(), kept=result.directory / "result.json")
    return result.status


def _replicate(name: str, chosen: Scenario, given: dict[str, Any], *, options: Options) -> int:
    from scenarios.campaign import plan, run_campaign
    from scenarios.options import LARGEST_SEED
    from scenarios.replicates import replicates_dict
    from scenarios.run_directory import write_json
    from scenarios.tables import findings_lines

    most = min(MOST_REPLICATES, LARGEST_SEED - options.seed + 1)
    runs = whole_number("--replicates", given["replicates"], low=1, high=most)
    seeds = range(options.seed, options.seed + runs)
    campaign = plan(name, chosen, values_of(given), options=options, over={}, seeds=seeds, title=f"x{runs}")
    say(f"seeds {seeds[0]}..{seeds[-1]}, {campaign.workers} at once", given)
    for note in campaign.notes:
        say(note, given)
    findings = run_campaign(campaign)
    for line in findings_lines(findings):
        say(line, given)
    answer, kept = replicates_dict(findings), campaign.directory / "replicates.json"
    write_json(kept, answer)
    write_answer(given["json_file"], answer, kept=kept)
    return findings.status
