"""trio: `swarmbed netem show`: tells what was changed in the network of a running run.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH


@click.command()
@click.argument("run_dir", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run_dir: Path, *, as_json: bool) -> int:
    """Tell what is not as it was when the run in RUN_DIR began: links, cuts, holds, hosts that are down or paused."""
    import json

    from scenarios.live_client import ask
    from scenarios.live_controls import Show

    answer = ask(run_dir, Show())
    for line in [json.dumps(answer.data, indent=2, ensure_ascii=False)] if as_json else answer.said:
        click.echo(line)
    return 0
