"""trio: `swarmbed netem crash`: crashes nodes of a running run.

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
    """Crash HOSTS (names or patterns, with commas between): their sockets close, and their streams are reset."""
    from scenarios.live_client import tell
    from scenarios.live_controls import Crash

    return tell(run_dir, Crash(names_of("HOSTS", hosts)))
