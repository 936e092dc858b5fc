"""trio: `swarmbed netem replay`: decides the fates of a finished run's packets again, and compares.

Source: DESIGN section 3 (packet k's fate depends on the key and k alone).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from scenarios.cli import PATH


@click.command()
@click.argument("run_dir", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print it all as JSON.")
def command(run_dir: Path, *, as_json: bool) -> int:
    """Decide every packet of RUN_DIR again from its seed, and check that the record agrees, real sockets or not.

    Exit status: 0 it does, 1 a packet fared otherwise, 2 it cannot be replayed.
    """
    from netem.errors import ConfigError
    from netem.randomness import BlockUniforms
    from netem.replay import replay
    from scenarios.finished_run import FinishedRun
    from scenarios.run_directory import json_text

    run = FinishedRun(run_dir)
    fates = run.fates()
    if fates is None:
        raise ConfigError("RUN_DIR", str(run_dir), "a run that was finished, with its fates")
    uniforms = BlockUniforms(fates.run_seed)
    replays = {ends: replay(ends, link, uniforms) for ends, link in fates.links.items()}
    wrong = {ends: one for ends, one in replays.items() if not one.agrees}
    excess_ns = [one.excess_ns for one in replays.values()]
    summary = {
        "agrees": not wrong,
        "run_seed": fates.run_seed,
        "links": len(replays),
        "packets": sum(link.offered for link in fates.links.values()),
        "arrivals": sum(len(link.numbers) for link in fates.links.values()),
        "lost": sum(one.lost_then for one in replays.values()),
        "least_excess_ms": min((low for low, _ in excess_ns), default=0) / 1e6,
        "most_excess_ms": max((high for _, high in excess_ns), default=0) / 1e6,
        "wrong": [
            {"link": " > ".join(ends), "lost": one.lost_then, "lost_again": one.lost, "impossible": one.impossible[:10]}
            for ends, one in wrong.items()
        ],
    }
    if as_json:
        click.echo(json_text(summary), nl=False)
    else:
        for line in _lines(summary):
            click.echo(line)
    return 1 if wrong else 0


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    yield (
        "{packets} packets on {links} links, {lost} transmissions lost, {arrivals} arrivals: ".format(**summary)
        + ("each as decided again" if summary["agrees"] else "NOT all as decided again")
        + f" from seed {summary['run_seed']}"
    )
    yield "own delays exceed the decided ones by {least_excess_ms:.6f} to {most_excess_ms:.6f} ms".format(**summary)
    for one in summary["wrong"]:
        yield "{link}: {lost} lost then, {lost_again} again; impossible arrivals: k={impossible}".format(**one)
