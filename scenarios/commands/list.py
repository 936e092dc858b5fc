"""trio: `swarmbed list`: finds the scenarios."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("names", metavar="[SCENARIO|FILE.py]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(names: tuple[str, ...], *, as_json: bool) -> None:
    """List the scenarios (or those named), with the question that each asks and its parameters."""
    from scenarios.catalogue import scenario_named, scenario_names
    from scenarios.parameters import describe

    found = [scenario_named(name) for name in names or scenario_names()]
    if as_json:
        rows = [{"name": s.name, "question": s.question, "params": describe(s.params)} for s in found]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for scenario in found:
        click.echo(f"{scenario.name}\n  {scenario.question.splitlines()[0]}")
        for key, row in describe(scenario.params).items():
            unit = f" {row['unit']}" if row["unit"] not in {"", "1"} else ""
            click.echo(f"    {key} = {row['default']}{unit}: {row['description']} ({row['allowed']})")
