"""Whole runs of scenarios for tests: play one, see which claims it leaves unfulfilled, and expect every claim to hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scenarios.catalogue import scenario_named
from scenarios.options import Options
from scenarios.result import EXIT_OK, Result
from scenarios.runner import run_scenario


def play(
    name: str,
    out: Path,
    *,
    seed: int = 1,
    time: str = "virtual",
    procs: int = 1,
    content: Path | None = None,
    **values: Any,
) -> Result:
    """Play a scenario with these parameter values; its run directory is `out`."""
    options = Options(seed=seed, time=time, procs=procs, content=content, out=out, quiet=True)
    return run_scenario(scenario_named(name), values, options)


def verdicts(result: Result) -> dict[str, bool | None]:
    """Return what became of each claim, by name; None is unjudged."""
    return {claim.name: claim.ok for claim in result.claims}


def not_held(result: Result) -> list[str]:
    """Return the names of the claims that failed or could not be judged, in order."""
    return [name for name, ok in verdicts(result).items() if ok is not True]


def assert_every_claim_holds(result: Result) -> None:
    """Expect of a run in virtual time that every claim holds, and that its exit status says so."""
    assert not_held(result) == []
    assert result.status == EXIT_OK


def assert_every_claim_holds_in_real_time(result: Result) -> None:
    """Expect of a run on real sockets that every claim holds, unless the host could not keep up; the money is right even then."""
    assert all(result.invariants.values())
    if not result.certificate.valid:
        pytest.skip(f"this host was too busy to emulate in real time: {result.certificate.reasons}")
    assert not_held(result) == []
