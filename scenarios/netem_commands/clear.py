"""trio: `swarmbed netem clear`: lets links of a running run do again what they did at first.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH
from scenarios.link_choice import choice_of, link_options


@click.command()
@click.argument("run_dir", type=PATH)
@link_options
def command(run_dir: Path, **given: str | bool | tuple[str, str] | None) -> int:
    """Let links of the run in RUN_DIR do again what they did when it began, whatever was said since."""
    from scenarios.live_client import tell
    from scenarios.live_controls import ClearLinks

    return tell(run_dir, ClearLinks(*choice_of(given)))
