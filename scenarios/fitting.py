"""trio: fits a run to this host before it starts: how many processes it takes, and a warning when it will not fit at all."""

from __future__ import annotations

import dataclasses

from scenarios.calibration import quick_calibration, saved_calibration
from scenarios.capacity import capacity_warning, processes_needed
from scenarios.options import Options
from scenarios.parameters import Params


def fit(params: Params, options: Options) -> tuple[Options, str | None]:
    """Return the options with a number of processes, and a warning if the run will probably be void on this host.

    The figures are those of the last `swarmbed calibrate`, or a guess that takes a fifth of a second.
    """
    if options.time == "virtual":
        return dataclasses.replace(options, procs=options.procs or 1), None
    calibration = saved_calibration() or quick_calibration()
    procs = options.procs or (1 if params.one_process else processes_needed(params, calibration))
    return dataclasses.replace(options, procs=procs), capacity_warning(params, calibration, processes=procs)
