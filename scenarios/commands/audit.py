"""trio: `swarmbed audit`: replays a finished run's ledger."""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import EXIT_VOID, PATH, ledger_of


@click.command()
@click.argument("run_dir", type=PATH)
def command(run_dir: Path) -> int:
    """Replay RUN_DIR's journal from disk; check its hash chain and the invariants I1-I8. Exit 3 when one fails."""
    from scenarios.process import rare_collections
    from tracker.bank.audit import audit, render_audit

    with rare_collections():
        report = audit(ledger_of(run_dir))
    for line in render_audit(report):
        click.echo(line)
    return 0 if report.ok else EXIT_VOID
