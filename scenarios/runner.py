"""trio: run a scenario from what was asked for to what is written: parameters, run directory, clock, result and report.

Source: DESIGN sections 3 (two clocks, digest), 5 and 6 (run directory, result.json, exit status).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from netem.errors import ConfigError
from netem.real_time import RealTime
from netem.virtual_time import VirtualTime, schedule_deterministically
from scenarios.catalogue import Scenario
from scenarios.content import standard_library, user_content
from scenarios.fitting import check_procs, fit
from scenarios.options import Options
from scenarios.parameters import fill
from scenarios.play import Play
from scenarios.process import allow_many_sockets, interrupts_as_before, rare_collections
from scenarios.progress import Reading
from scenarios.report.making import write_report
from scenarios.result import Result
from scenarios.run_directory import new_run_directory, write_json, write_links, write_run_json
from scenarios.topology_file import FILE as TOPOLOGY_FILE
from scenarios.topology_file import layout_of, read_topology

if TYPE_CHECKING:
    from scenarios.watch import Watch


def run_scenario(
    scenario: Scenario, values: Mapping[str, object], options: Options, *, watch: Watch | None = None
) -> Result:
    """Run a scenario and write its run directory.

    Args:
        scenario: what to play.
        values: parameter values by key, as `fill` takes them.
        options: how to run it.
        watch: shows its metrics.

    Raises:
        ConfigError: something is wrong with what was asked for; nothing was run.
        LedgerError: the ledger could not be written; the run directory keeps what was acknowledged.
    """
    params = fill(scenario.params, values)
    params.link()
    topology = read_topology(params)
    check_procs(options, params)
    if options.procs is None:
        fitted = fit(params, options, given=values)
        options, params = fitted.options, fill(scenario.params, {**values, **fitted.values})
    if options.time == "real":
        allow_many_sockets(-(-params.nodes // (options.procs or 1)))
    content = user_content(options.content) if options.content else standard_library(params.standard_files())
    run: Play | None = None
    with rare_collections(), interrupts_as_before():
        directory = new_run_directory(options.out, scenario=scenario.name, seed=options.seed)
        try:
            write_run_json(directory, scenario=scenario, params=params, options=options, content=content)
            if topology:
                (directory / TOPOLOGY_FILE).write_text(topology, encoding="utf-8")
            clock = VirtualTime() if options.time == "virtual" else RealTime()
            layout = layout_of(topology, params)
            run = Play(
                clock,
                scenario,
                params,
                options=options,
                content=content,
                directory=directory,
                layout=layout,
                watch=watch,
            )
            _on_its_clock(run, clock, seed=options.seed)
        except* (ConfigError, KeyboardInterrupt):
            if run is None or not run.began:
                shutil.rmtree(directory)  # a port in use, or Ctrl-C: nothing was run, so nothing is left behind
            raise
        result = run.judge()
        write_links(directory, result.certificate.report)
        write_json(directory / "result.json", result.to_dict())
        _report(directory, quiet=options.quiet)
    return result


def _on_its_clock(run: Play, clock: RealTime | VirtualTime, *, seed: int) -> None:
    if isinstance(clock, VirtualTime):
        schedule_deterministically(seed)
        trio.run(run.main, clock=clock)
    else:
        trio.run(run.main)


def _report(directory: Path, *, quiet: bool) -> None:
    """Write the report; a disk that fails now takes nothing away from the run."""
    with Reading("events read for the report", quiet=quiet) as reading:
        try:
            write_report(directory, turn=reading.turn)
        except ConfigError as fault:
            reading.say(f"no report: {fault}")
