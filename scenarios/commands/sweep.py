"""trio: `swarmbed sweep`: play a scenario over a grid of parameters and seeds, in worker processes or on a cluster.

Source: DESIGN section 6.
"""

from __future__ import annotations

from typing import Any

import click

from netem.errors import ConfigError
from scenarios.asking import common_options, options_of, say, values_of, write_answer


@click.command()
@click.argument("scenario", metavar="SCENARIO|FILE.py")
@click.option("--over", multiple=True, metavar="KEY=V1,V2", help="Values of one parameter; several make a grid.")
@click.option("--seeds", default="1..1", show_default=True, metavar="A..B", help="Run each with every one of them.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on a Dask cluster (extra `cluster`); see README.")
@click.option("--serve", hidden=True, help="Only single runs are served: known so that the refusal can say so.")
@common_options(without=("serve", "hold", "capture"))
def command(scenario: str, **given: Any) -> int:
    """Run SCENARIO (or your own FILE.py) over a grid; write sweep.csv, and sweep.parquet when pyarrow is there.

    A run that fails or is void is a row like any other. Exit status: the worst of all runs, as of `swarmbed run`.
    """
    from scenarios.campaign import plan, run_campaign, run_locally
    from scenarios.catalogue import scenario_named
    from scenarios.cluster import on_cluster
    from scenarios.grid import read_over, read_seeds
    from scenarios.rows import rows_of, write_csv, write_parquet
    from scenarios.tables import findings_lines

    if given["serve"] is not None:
        raise ConfigError("--serve", given["serve"], "a single run: `swarmbed run SCENARIO --serve PORT`")
    chosen = scenario_named(scenario)
    over, seeds = read_over(given["over"]), read_seeds(given["seeds"])
    if not over:
        raise ConfigError("--over", "", "key=v1,v2, at least once")
    values = values_of(given)
    for key in sorted(over.keys() & values.keys()):
        raise ConfigError("--over", key, "a key that no other option gives a value")
    runner = on_cluster(given["scheduler"]) if given["scheduler"] is not None else run_locally
    options = options_of(given, seed=seeds[0])
    campaign = plan(scenario, chosen, values, options=options, over=over, seeds=seeds, title="sweep")
    say(f"seeds {seeds[0]}..{seeds[-1]}, {len(campaign.jobs)} runs", given)
    for note in campaign.notes:
        say(note, given)
    findings = run_campaign(campaign, runner=runner)
    for line in findings_lines(findings):
        say(line, given)
    rows, kept = rows_of(findings), campaign.directory / "sweep.csv"
    write_csv(kept, rows)
    write_parquet(kept.with_suffix(".parquet"), rows)
    answer = {"scenario": chosen.name, "time": campaign.time, "over": over, "seeds": list(seeds)}
    write_answer(given["json_file"], {**answer, "rows": rows, "status": findings.status}, kept=kept)
    return findings.status
