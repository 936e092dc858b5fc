"""trio: `swarmbed netem pause`: lets hosts of a running run stand still.

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
    """Let the processes of HOSTS (names or patterns, with commas between) stand still until they are resumed."""
    from scenarios.live_client import tell
    from scenarios.live_controls import Pause

    return tell(run_dir, Pause(names_of("HOSTS", hosts)))
