"""trio: the run directory: where it is, and the JSON files in it. Blocking, called before and after a run.

Source: DESIGN section 6.
"""

from __future__ import annotations

import json
import math
import os
import platform
import zipfile
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from netem.errors import ConfigError
from netem.link_report import TABLE, LinkReport
from scenarios.catalogue import Scenario
from scenarios.content import Shared
from scenarios.options import Options
from scenarios.parameters import Params, describe
from scenarios.scenario_file import code_files
from scenarios.trace_file import TraceError

SCHEMA = 1  # of run.json and the files beside it; raised when a reader of today could not read them
_VERSIONS = ("swarmbed", "trio", "numpy", "scipy", "msgspec", "msgpack", "pynacl")


def new_run_directory(out: Path | None, *, scenario: str, seed: int) -> Path:
    """Make an empty run directory: `out`, or a new one below `runs/`.

    Raises:
        ConfigError: `out` exists and is not an empty directory, or cannot be made.
    """
    try:
        if out is None:
            stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
            name = f"{scenario}-seed{seed}-{stamp}"
            out = next(path for n in range(1000) if not (path := Path("runs") / (name + f"-{n}" * (n > 0))).exists())
        out.mkdir(parents=True, exist_ok=True)
        occupied = any(out.iterdir())
    except OSError as fault:
        raise ConfigError("--out", str(out), f"a directory that can be written ({fault.strerror})") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError("--out", str(out), "a directory that can be written")
    if occupied:
        raise ConfigError("--out", str(out), "a new or empty directory (a run never overwrites another)")
    return out


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file in UTF-8; a byte of a path that is none becomes the escape of the surrogate that Python has for it.

    Raises:
        TraceError: the disk is full, or gone.
    """
    try:
        path.write_text(json_text(value), encoding="utf-8", errors="backslashreplace")
    except OSError as fault:
        raise TraceError(f"cannot write {path}: {fault.strerror}") from fault


def write_links(directory: Path, report: LinkReport) -> None:
    """Write the table of all links as numpy's columns when result.json has only the worst of them.

    Raises:
        TraceError: the disk is full, or gone.
    """
    if not report.in_file:
        return
    path = directory / TABLE
    try:
        # As numpy.savez_compressed, which takes three times as long to make it a seventh smaller.
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as table:
            for name, column in report.table().items():
                with table.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, column, allow_pickle=False)
    except OSError as fault:
        raise TraceError(f"cannot write {path}: {fault.strerror}") from fault


def json_text(value: dict[str, Any]) -> str:
    """Return strict JSON (infinities as strings), indented and in order, with a newline at the end."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_run_json(
    directory: Path, *, scenario: Scenario, params: Params, options: Options, content: Sequence[Shared]
) -> None:
    """Write run.json: what was asked for, with which versions, content and own code."""
    versions = {name: metadata.version(name) for name in _VERSIONS}
    files = [{"name": file.name, "size_bytes": file.size_bytes} for file in content]
    source = str(options.content) if options.content else "the interpreter's standard library"
    record = {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "seed": options.seed,
        "time": options.time,
        "params": msgspec.to_builtins(params),
        "content": {"source": source, "bytes": sum(file.size_bytes for file in content), "files": files},
        "about": {"question": scenario.question, "params": describe(scenario.params)},
        "own_code": code_files(scenario.file, params),
        "versions": {"python": platform.python_version(), **versions},
        "platform": platform.platform(),
    }
    write_json(directory / "run.json", record)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
