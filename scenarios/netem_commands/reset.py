"""trio: `swarmbed netem reset`: resets streams of a running run.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH


@click.command()
@click.argument("run_dir", type=PATH)
@click.argument("one")
@click.argument("other")
def command(run_dir: Path, one: str, other: str) -> int:
    """Reset all streams between ONE host and the OTHER, at both ends."""
    from scenarios.live_client import tell
    from scenarios.live_controls import ResetStreams

    return tell(run_dir, ResetStreams(one, other))
