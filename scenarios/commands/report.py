"""trio: `swarmbed report`: makes a finished run's report again, or serves the run as a page.

Source: DESIGN section 6.
"""

from __future__ import annotations

from pathlib import Path

import click

from scenarios.cli import EXIT_INTERRUPTED, PATH


@click.command()
@click.argument("run_dir", type=PATH)
@click.option("--serve", metavar="PORT", help="Show the run as a page on 127.0.0.1:PORT until Ctrl-C; 0 picks a port.")
def command(run_dir: Path, *, serve: str | None) -> int:
    """Make RUN_DIR's report.html again from what the run left there.

    With --serve nothing is written: the finished run, a simulated one too, is shown as the live page would, and its samples
    answer the Prometheus query API. Exit status: 0, 2 for no such run, 130 after Ctrl-C.
    """
    from scenarios.progress import Reading
    from scenarios.report.making import write_report

    if serve is not None:
        return _serve(run_dir, serve)
    with Reading("events read") as reading:
        path = write_report(run_dir, turn=reading.turn)
    click.echo(f"report      {path}")
    return 0


def _serve(run_dir: Path, port: str) -> int:
    from scenarios.asking import whole_number
    from scenarios.progress import Reading
    from scenarios.report.making import opened
    from scenarios.report.replay import replay
    from scenarios.report.served import routes_of, serve_finished
    from scenarios.serving import address_of, listening

    number = whole_number("--serve", port, low=0, high=65_535)
    run = opened(run_dir)
    with listening(number) as listener:
        with Reading("events read") as reading:
            told = replay(run, turn=reading.turn)
            routes = routes_of(run, told, port=listener.getsockname()[1])
        for note in told.notes:
            click.echo(f"note        {note}")
        click.echo(f"the run's page is at {address_of(listener)} until Ctrl-C")
        serve_finished(listener, routes)
    return EXIT_INTERRUPTED
