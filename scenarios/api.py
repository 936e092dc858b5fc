"""trio: run a scenario from a Python program or a notebook.

Source: DESIGN section 6.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Literal

import trio

from netem.errors import ConfigError, LocalProtocolError
from scenarios.catalogue import scenario_named
from scenarios.fitting import fit
from scenarios.options import LARGEST_SEED, Options
from scenarios.parameters import fill
from scenarios.result import Result
from scenarios.runner import run_scenario


def run(
    scenario: str | os.PathLike[str],
    *,
    seed: int = 1,
    time: Literal["real", "virtual"] = "real",
    content: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    quiet: bool = True,
    **params: object,
) -> Result:
    """Run a scenario as `swarmbed run` does, and return its result; nothing is printed but progress.

    Args:
        scenario: a name, or the path of a file of one's own, ending with `.py`.
        seed: a whole number, at most `LARGEST_SEED` either way.
        time: the run's clock.
        content: a directory with the files to share; None: the interpreter's standard library.
        out: the run directory, new or empty; None: a new one below `runs/`.
        quiet: show no progress.
        params: the scenario's parameters by key, as `--set` takes them.

    Raises:
        ConfigError: something is wrong with what was asked for; nothing was run.
        LocalProtocolError: called outside the main thread (only there Ctrl-C can be heard), or inside a trio program.
        LedgerError: the ledger could not be written.
    """
    if threading.current_thread() is not threading.main_thread():
        raise LocalProtocolError("scenarios.run must be called in the main thread: only there Ctrl-C can be heard")
    if trio.lowlevel.in_trio_run():
        raise LocalProtocolError("scenarios.run cannot be called inside trio.run: it runs a trio loop of its own")
    if time not in {"real", "virtual"}:
        raise ConfigError("time", time, "real or virtual")
    if not isinstance(seed, int):
        raise ConfigError("seed", seed, "a whole number")
    if abs(seed) > LARGEST_SEED:
        raise ConfigError("seed", seed, f"a whole number from {-LARGEST_SEED} to {LARGEST_SEED}")
    options = Options(
        seed=seed,
        time=time,
        content=Path(content) if content is not None else None,
        out=Path(out) if out is not None else None,
        quiet=quiet,
    )
    chosen = scenario_named(os.fspath(scenario))
    fitted = fit(fill(chosen.params, params), options, given=params)
    return run_scenario(chosen, {**params, **fitted.values}, fitted.options)
