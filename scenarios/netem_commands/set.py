"""trio: `swarmbed netem set`: changes links of a running run.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH
from scenarios.link_choice import choice_of, link_options


@click.command()
@click.argument("run_dir", type=PATH)
@click.argument("line")
@link_options
def command(run_dir: Path, line: str, **given: str | bool | tuple[str, str] | None) -> int:
    """Let links of the run in RUN_DIR do what the tc LINE says (such as "delay 50ms loss 5%", or none) from the next packet on."""
    from scenarios.live_client import tell
    from scenarios.live_controls import SetLinks

    source, target, both_ways = choice_of(given)
    return tell(run_dir, SetLinks(line, source, target, both_ways))
