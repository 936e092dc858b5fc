"""trio: fits a run to this host before it starts: how many processes it may have and takes, and a warning when it will not fit."""

from __future__ import annotations

import dataclasses

from netem.errors import ConfigError
from scenarios.calibration import quick_calibration, saved_calibration
from scenarios.capacity import capacity_warning, processes_needed
from scenarios.options import Options
from scenarios.parameters import Params

MOST_PROCS = 64


def fit(params: Params, options: Options) -> tuple[Options, str | None]:
    """Return the options with a number of processes, and a warning if the run will probably be void on this host.

    The figures are those of the last `swarmbed calibrate`, or a guess that takes a fifth of a second.
    """
    if options.time == "virtual":
        return dataclasses.replace(options, procs=options.procs or 1), None
    calibration = saved_calibration() or quick_calibration()
    procs = options.procs or (1 if params.one_process else processes_needed(params, calibration))
    return dataclasses.replace(options, procs=procs), capacity_warning(params, calibration, processes=procs)


def check_procs(options: Options, params: Params) -> None:
    """Refuse more processes than make sense.

    Raises:
        ConfigError: there are more of them than nodes or than `MOST_PROCS`, or any beside the one in virtual time or where
            the scenario needs its nodes in its own.
    """
    if options.procs is None:
        return
    if not 1 <= options.procs <= min(params.nodes, MOST_PROCS):
        raise ConfigError("--procs", options.procs, f"a whole number from 1 to {min(params.nodes, MOST_PROCS)}")
    if options.procs > 1 and options.time == "virtual":
        raise ConfigError("--procs", options.procs, "1 with --time virtual: simulated time is one process's")
    if options.procs > 1 and params.one_process:
        raise ConfigError("--procs", options.procs, "1: this scenario looks into its nodes")
