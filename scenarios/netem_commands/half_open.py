"""trio: `swarmbed netem half-open`: leaves streams of a running run half open.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH


@click.command()
@click.argument("run_dir", type=PATH)
@click.argument("gone")
@click.argument("left")
def command(run_dir: Path, gone: str, left: str) -> int:
    """Let the host GONE lose all its streams with the host LEFT, which hears nothing of it."""
    from scenarios.live_client import tell
    from scenarios.live_controls import HalfOpen

    return tell(run_dir, HalfOpen(gone, left))
