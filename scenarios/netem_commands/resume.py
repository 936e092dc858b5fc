"""trio: `swarmbed netem resume`: lets paused hosts of a running run go on.

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
    """Let HOSTS (names or patterns, with commas between) that were paused by hand go on."""
    from scenarios.live_client import tell
    from scenarios.live_controls import Resume

    return tell(run_dir, Resume(names_of("HOSTS", hosts)))
