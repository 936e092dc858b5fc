"""trio: `swarmbed netem`: what is asked of, and told to, the emulated network.

Its commands are the modules of `scenarios/netem_commands/`, found by name.

Source: DESIGN section 6.
"""

from __future__ import annotations

import click

from scenarios import netem_commands
from scenarios.command_group import Commands


@click.group(cls=Commands, package=netem_commands, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Explain and design tc netem lines."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
