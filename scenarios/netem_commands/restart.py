"""trio: `swarmbed netem restart`: restarts crashed nodes of a running run.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH
from scenarios.link_choice import names_of


@click.command()
@click.argument("run_dir", type=PATH)
@click.argument("hosts")
def command(run_dir: Path, hosts: str) -> int:
    """Restart HOSTS (names or patterns, with commas between) that are down: they come back with their keys and files."""
    from scenarios.live_client import tell
    from scenarios.live_controls import Restart

    return tell(run_dir, Restart(names_of("HOSTS", hosts)))
