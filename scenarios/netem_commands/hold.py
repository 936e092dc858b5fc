"""trio: `swarmbed netem hold`: holds back what hosts of a running run would get.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH
from scenarios.link_choice import names_of


@click.command()
@click.argument("run_dir", type=PATH)
@click.argument("group")
@click.argument("rest", required=False)
@click.option("--one-way", is_flag=True, help="Only what GROUP sends.")
def command(run_dir: Path, group: str, rest: str | None, *, one_way: bool) -> int:
    """Hold back what would arrive between GROUP and REST, or all other hosts, until it is released.

    Both are names or patterns with commas between: node-1,node-2*.
    """
    from scenarios.live_client import tell
    from scenarios.live_controls import Hold

    return tell(run_dir, Hold(names_of("GROUP", group), None if rest is None else names_of("REST", rest), one_way))
