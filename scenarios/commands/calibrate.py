"""trio: `swarmbed calibrate`: measures this host and says how large a run in real time may be.

Source: DESIGN section 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from scenarios.capacity import Calibration
    from scenarios.parameters import Params


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """Measure this host for some seconds: how many nodes and packets per second it can emulate in real time.

    The figures are kept, and `swarmbed run` warns by them before a run that will not fit.
    """
    import json

    import msgspec

    from scenarios.calibration import calibrate, save_calibration
    from scenarios.catalogue import scenario_named

    calibration = calibrate()
    path = save_calibration(calibration)
    params: Params = scenario_named("flash-crowd").params()
    if as_json:
        answers = {"measured": msgspec.to_builtins(calibration), **_answers(calibration, params), "saved": str(path)}
        click.echo(json.dumps(answers, indent=2))
        return
    for line in _lines(calibration, params):
        click.echo(line)
    click.echo(f"kept in {path}")


def _answers(calibration: Calibration, params: Params) -> dict[str, Any]:
    """Return what one process and what all cores can do, within the fidelity limits."""
    from scenarios.capacity import most_nodes

    return {
        "packets_per_s": {
            "process": calibration.packets_per_s,
            "host": calibration.packets_per_s * calibration.cores,
        },
        "nodes": {
            "process": most_nodes(params, calibration),
            "host": most_nodes(params, calibration, processes=calibration.cores),
        },
    }


def _lines(calibration: Calibration, params: Params) -> Iterator[str]:
    answers = _answers(calibration, params)
    yield (
        f"this host   lag p99 {calibration.lag_p99_ms:.2f} ms, timer lateness p99 {calibration.lateness_p99_ms:.2f} ms without "
        f"load; {calibration.cores} cores, {calibration.open_files:,} open files"
    )
    yield (
        f"costs       {calibration.packet_us:.1f} us CPU a packet, {calibration.block_us:.0f} us a delivered block, "
        f"{calibration.node_us_per_s / 1e3:.2f} ms/s an idle node"
    )
    yield f"limit       lag and lateness p99 stay within 10 ms up to {calibration.share:.0%} of a core, evenly loaded"
    for where in ("process", "host"):
        nodes, packets_per_s = answers["nodes"][where], answers["packets_per_s"][where]
        name = "one process" if where == "process" else f"{calibration.cores} processes"
        yield f"{name:<12}{packets_per_s:,.0f} packets/s, or {nodes:,} nodes of flash-crowd with its defaults"
