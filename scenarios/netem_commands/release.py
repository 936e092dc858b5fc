"""trio: `swarmbed netem release`: ends holds of a running run.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH


@click.command()
@click.argument("run_dir", type=PATH)
def command(run_dir: Path) -> int:
    """End all holds of the run in RUN_DIR that were made by hand; what was held arrives in order."""
    from scenarios.live_client import tell
    from scenarios.live_controls import Release

    return tell(run_dir, Release())
