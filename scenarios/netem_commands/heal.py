"""trio: `swarmbed netem heal`: ends partitions of a running run.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH


@click.command()
@click.argument("run_dir", type=PATH)
def command(run_dir: Path) -> int:
    """End all partitions of the run in RUN_DIR that were made by hand."""
    from scenarios.live_client import tell
    from scenarios.live_controls import Heal

    return tell(run_dir, Heal())
