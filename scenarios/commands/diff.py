"""trio: `swarmbed diff`: where two runs part.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH


@click.command()
@click.argument("run_a", type=PATH)
@click.argument("run_b", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print it all as JSON.")
def command(run_a: Path, run_b: Path, *, as_json: bool) -> int:
    """Say where the runs in RUN_A and RUN_B part: set-up, first event, first packet, first transaction.

    Times count when both have simulated time. Exit status: 0 the same, 1 different, 2 no such runs.
    """
    from scenarios.comparison_lines import comparison_lines
    from scenarios.finished_run import FinishedRun, compare
    from scenarios.run_directory import json_text

    found = compare(FinishedRun(run_a, field="RUN_A"), FinishedRun(run_b, field="RUN_B"))
    if as_json:
        click.echo(json_text(found.to_dict()), nl=False)
    else:
        for line in comparison_lines(found):
            click.echo(line)
    return 0 if found.same else 1
