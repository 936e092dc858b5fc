"""trio: `swarmbed bench`: measures this build against a baseline, in turns, in this process.

Source: DESIGN section 6.
"""

from __future__ import annotations

import json
import os
from typing import Any

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--full", is_flag=True, help="Also what takes minutes (bank: an audit of 10^6 transfers).")
def command(name: str | None, *, as_json: bool, full: bool) -> None:
    """Run the bench NAME and print the ratio to its baseline; without NAME, list the benches and their goals.

    Exit status 0 also when a goal is missed: the line says so.
    """
    from node.plugins import choose, find
    from scenarios import bench
    from scenarios.bench.base import Bench, Effort
    from scenarios.process import allow_many_sockets, rare_collections

    found: dict[str, type[Any]] = find(bench, Bench)
    if name is None:
        _list(found, as_json=as_json)
        return
    chosen: Bench = choose(found, field="NAME", name=name)()
    allow_many_sockets()
    with rare_collections():  # as every run has it
        figures = []
        for figure in chosen.figures(Effort(full=full)):
            figures.append(figure)
            if not as_json:
                for line in figure.lines():
                    click.echo(line)
    load = os.getloadavg()[0]
    if as_json:
        first, *more = (figure.to_dict() for figure in figures)
        click.echo(
            json.dumps({**first, "name": name, "more": more, "load_average": load}, indent=2, ensure_ascii=False)
        )
        return
    click.echo(f"load average {load:.2f} on {os.cpu_count()} cores")


def _list(found: dict[str, type[Any]], *, as_json: bool) -> None:
    if as_json:
        rows = [{"name": name, "goal": kind.goal} for name, kind in found.items()]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for name, kind in found.items():
        click.echo(f"{name}\n  {kind.goal}")
