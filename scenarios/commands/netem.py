"""trio: `swarmbed netem`: the emulated network by itself; its commands are the modules of `scenarios/netem_commands/`.

Source: DESIGN section 6.
"""

from __future__ import annotations

import click

from scenarios import netem_commands
from scenarios.cli import PackageGroup


@click.group(cls=PackageGroup, package=netem_commands, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Work with the emulated network itself."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
