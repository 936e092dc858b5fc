"""trio: `swarmbed why`: reads a finished run's ledger."""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import PATH, ledger_of


@click.command()
@click.argument("run_dir", type=PATH)
@click.argument("account")
def command(run_dir: Path, account: str) -> int:
    """Explain every movement of ACCOUNT (such as user/1f3a, a unique prefix will do) in RUN_DIR's ledger."""
    from tracker.bank.why import render_why, why

    for line in render_why(why(ledger_of(run_dir), account)):
        click.echo(line)
    return 0
