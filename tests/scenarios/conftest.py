"""trio: the command line in this process or in another, and one small finished run that many tests look at."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from netem.errors import ConfigError
from scenarios.catalogue import scenario_named
from scenarios.cli import main
from scenarios.options import Options
from scenarios.parameters import fill
from scenarios.result import Result
from scenarios.runner import run_scenario

# Where pieces and blocks end, and names that are awkward on some system: what users really have.
AWKWARD_FILES = {
    "empty": 0,
    "one byte": 1,
    "line\nbreak.bin": 262_143,
    "日本語/файл.bin": 262_144,
    "sub folder/naïve 'quoted' \"name\".bin": 262_145,
}
VALUES = {"nodes": 4, "duration_s": 5.0, "appear_s": 0.5, "zipf": 0.0, "load": 1.0, "upload_bytes_per_s": 1e6}


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def awkward_files() -> dict[str, int]:
    """Return the sizes of the files in `content`, by name."""
    return AWKWARD_FILES


@pytest.fixture(scope="session")
def small() -> dict[str, float]:
    """Return parameter values for a run of flash-crowd that takes a fraction of a second."""
    return VALUES


@pytest.fixture(scope="session")
def start_swarmbed() -> Callable[..., subprocess.Popen[str]]:
    """Start the command line in a process of its own; keywords go to its environment."""

    def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", "from scenarios.cli import main; main()"]
        return subprocess.Popen(
            [*program, *map(str, arguments)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def swarmbed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run the command line in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["swarmbed", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of awkward files."""
    folder = tmp_path_factory.mktemp("content")
    for number, (name, size_bytes) in enumerate(AWKWARD_FILES.items()):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(((number + np.arange(size_bytes) ** 2 // 7) % 256).astype(np.uint8).tobytes())
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, content: Path) -> Result:
    """Return a small virtual run of flash-crowd over the awkward files; its directory is `finished.directory`."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    options = Options(seed=1, time="virtual", content=content, out=out, quiet=True)
    return run_scenario(scenario_named("flash-crowd"), VALUES, options)


@pytest.fixture
def fewest_nodes():
    """Return a function that tells how many nodes make a small run of a scenario: four, or what several markets take."""

    def fewest(params):
        for nodes in (4, 12, 24, 60):
            with contextlib.suppress(ConfigError):
                fill(params, {"nodes": nodes})
                return nodes
        raise AssertionError(f"{params}: no small run")

    return fewest
