"""trio: a scenario in a file of one's own: loaded and checked. Blocking, before a run."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import msgspec

from netem.errors import ConfigError
from node.plugins import attempt, load_file
from scenarios.parameters import Params, fill, undeclared

FIELD = "SCENARIO"


def load_scenario(path: str) -> ModuleType:
    """Load a scenario's file: docstring, `Params`, `run(bed)` and `claims(record)` are as a scenario needs them.

    Raises:
        ConfigError: it cannot be read, it fails (the message names the line), or something is missing.
    """
    module = load_file(path, field=FIELD)
    for missing in attempt(lambda: list(_missing(module)), field=FIELD, path=path):
        raise ConfigError(FIELD, path, f"a scenario with {missing}")
    return module


def _missing(module: ModuleType) -> Iterator[str]:
    """Yield what a module lacks to be a scenario."""
    question = (module.__doc__ or "").strip()
    if not question.split("\n")[0].endswith("?") or "Source: " not in question:
        yield 'a docstring that begins with a line that asks a question ("...?") and has a line "Source: ..."'
    members = vars(module)
    params = members.get("Params")
    if not isinstance(params, type) or not issubclass(params, Params):
        yield "a class Params: one that extends scenarios.Params, or that class itself"
    elif lack := undeclared(params):
        yield f"declared parameters; {lack}"
    else:
        fill(params, {field.name: field.default for field in msgspec.structs.fields(params)})
    run = members.get("run")
    if not inspect.iscoroutinefunction(run) or not _takes_one(run):
        yield "`async def run(bed)`"
    claims = members.get("claims")
    if not inspect.isfunction(claims) or inspect.iscoroutinefunction(claims) or not _takes_one(claims):
        yield "`def claims(record)`, which returns a list of claims"


def _takes_one(function: object) -> bool:
    assert callable(function)
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    return True


def code_files(scenario_file: str | None, params: Params) -> Sequence[Mapping[str, str]]:
    """Return path (relative to here) and SHA-256 of the experimenter's own code in a run: the scenario, and files in parameters."""
    return [
        {"path": os.path.relpath(name), "sha256": hashlib.sha256(Path(name).read_bytes()).hexdigest()}
        for name in own_code_files(scenario_file, params)
    ]


def own_code_files(scenario_file: str | None, params: Params) -> list[str]:
    """Return the paths of the experimenter's own code in a run, as they were given."""
    values = msgspec.to_builtins(params).values()
    names = [scenario_file, *(value for value in values if isinstance(value, str) and value.endswith(".py"))]
    return [name for name in names if name is not None]
