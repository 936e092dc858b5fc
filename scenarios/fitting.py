"""trio: fits a run to this host before it starts: its processes and its demand, and a warning when it will not fit at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

import msgspec

from netem.errors import ConfigError
from scenarios.capacity import (
    LEAST_DEMAND,
    Calibration,
    capacity_warning,
    fitting_demand_bytes_per_s,
    processes_needed,
)
from scenarios.options import Options
from scenarios.parameters import Params

MOST_PROCS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a run fits this host.

    Attributes:
        options: with a number of processes.
        values: parameters that follow the host, by key, to be added to those that were given.
        note: what the values mean, in a line; "" without any.
        warning: why the run will probably be void, in a line; "" if it will not.
    """

    options: Options
    values: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    warning: str = ""

    @property
    def settings(self) -> str:
        """Return the values as the command line takes them, each after a space."""
        return "".join(f" --set {key}={value:g}" for key, value in self.values.items())


def host_calibration() -> Calibration:
    """Return the figures of the last `swarmbed calibrate`, or a guess that takes a fifth of a second."""
    from scenarios.calibration import quick_calibration, saved_calibration  # late: a simulated run needs no benchmark

    return saved_calibration() or quick_calibration()


def fit(params: Params, options: Options, *, given: Container[str], calibration: Calibration | None = None) -> Fit:
    """Fit a run to this host: in real time, a demand that nobody asked for is lowered to what the host can carry.

    Args:
        params: as filled.
        options: those without a number of processes get one.
        given: the keys that the user gave a value.
        calibration: of the host; None takes `host_calibration`.
    """
    if options.time == "virtual":
        return Fit(options=dataclasses.replace(options, procs=options.procs or 1))
    calibration = calibration or host_calibration()
    procs = options.procs or (1 if params.one_process else processes_needed(params, calibration))
    values, note = {}, ""
    if params.demand_keys and not any(key in given for key in params.demand_keys):
        wanted = params.wanted_bytes_per_s()
        demand = fitting_demand_bytes_per_s(params, calibration, processes=procs)
        if demand < wanted:
            key = params.demand_keys[0]
            values = {key: demand}
            params = msgspec.structs.replace(params, **values)
            why = (
                "what this host can carry in real time"
                if demand > LEAST_DEMAND * wanted
                else "the least, for a slow host"
            )
            note = f"demand {demand / 1e6:.2g} MB/s: {why} (of {wanted / 1e6:.3g} MB/s); --set {key}=... overrides"
    warning = capacity_warning(params, calibration, processes=procs) or ""
    return Fit(options=dataclasses.replace(options, procs=procs), values=values, note=note, warning=warning)


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
