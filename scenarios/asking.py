"""trio: what `run` and `sweep` are asked in the same words: options, parameter values, and where the JSON goes. Blocking."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netem.errors import ConfigError
from scenarios.cli import PATH

if TYPE_CHECKING:
    from scenarios.options import Options

_OPTIONS = {
    "nodes": click.option("--nodes", metavar="N", help="How many nodes, beside the tracker."),
    "time_": click.option("--time", "time_", default="real", show_default=True, help="real or virtual."),
    "duration": click.option("--duration", metavar="SECONDS", help="How long the scenario's crowd keeps coming."),
    "params_file": click.option(
        "--params", "params_file", type=PATH, metavar="FILE.toml", help="Parameter values from a file."
    ),
    "settings": click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One parameter; see `swarmbed list`."
    ),
    "content": click.option("--content", type=PATH, metavar="DIR", help="Share the files below DIR."),
    "out": click.option("--out", type=PATH, metavar="DIR", help="The run directory; it must be new or empty."),
    "json_file": click.option(
        "--json", "json_file", type=PATH, metavar="FILE", help="Write the result there too (- for stdout)."
    ),
    "procs": click.option(
        "--procs", metavar="P", help="Processes that share the nodes; by default as many as they need here."
    ),
    "serve": click.option(
        "--serve", metavar="PORT", help="Serve a live page and metrics on 127.0.0.1:PORT; 0 picks a free port."
    ),
    "hold": click.option("--hold", is_flag=True, help="Go on serving after the run, until Ctrl-C."),
    "capture": click.option("--capture", is_flag=True, help="Write every packet with its fate to capture.pcapng."),
    "quiet": click.option("--quiet", is_flag=True, help="No progress."),
}


def common_options(*, without: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command the options of every run, but for those named."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, option in reversed(_OPTIONS.items()):
            if name not in without:
                command = option(command)
        return command

    return decorate


def options_of(given: Mapping[str, Any], *, seed: int) -> Options:
    """Return how to run, from the command's options.

    Raises:
        ConfigError: there is no such clock, no such number of processes, or the JSON could not be written.
    """
    from scenarios.options import Options

    procs = None if given["procs"] is None else whole_number("--procs", given["procs"])
    if given["time_"] not in {"real", "virtual"}:
        raise ConfigError("--time", given["time_"], "real or virtual")
    if given["json_file"]:
        _check_writable(given["json_file"], beside=given["out"])
    return Options(
        seed=seed,
        time=given["time_"],
        content=given["content"],
        out=given["out"],
        quiet=given["quiet"],
        procs=procs,
        capture=given.get("capture", False),
    )


def whole_number(field: str, text: str, *, low: int | None = None, high: int | None = None) -> int:
    """Read a whole number from `low` to `high`.

    Raises:
        ConfigError: it is none, or outside.
    """
    bounds = f" from {low} to {high}" if low is not None else ""
    try:
        number = int(text)
    except ValueError:
        raise ConfigError(field, text, f"a whole number{bounds}") from None
    if (low is not None and number < low) or (high is not None and number > high):
        raise ConfigError(field, text, f"a whole number{bounds}")
    return number


def run_seed(text: str) -> int:
    """Read a run's seed.

    Raises:
        ConfigError: it is no whole number, or too large for the files of a run.
    """
    from scenarios.options import LARGEST_SEED

    return whole_number("--seed", text, low=-LARGEST_SEED, high=LARGEST_SEED)


def values_of(given: Mapping[str, Any]) -> dict[str, object]:
    """Return the parameter values that were given: options outrank settings, and settings the file.

    Raises:
        ConfigError: the file cannot be read, or a setting is no `key=value`.
    """
    from scenarios.parameters import read_settings

    values = _read_toml(given["params_file"]) if given["params_file"] else {}
    values |= read_settings(given["settings"])
    values |= {"nodes": given["nodes"]} if given["nodes"] is not None else {}
    return values | ({"duration_s": given["duration"]} if given["duration"] is not None else {})


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError("--params", str(path), f"a readable TOML file ({fault})") from None


def _check_writable(path: Path, *, beside: Path | None) -> None:
    """Refuse a --json file that could not be written after the run; `beside` is the run directory, made by then."""
    if path == Path("-") or (not path.exists() and beside is not None and path.parent.absolute() == beside.absolute()):
        return
    target = path if path.exists() else path.parent
    if path.is_dir() or not os.access(target, os.W_OK) or (target != path and not target.is_dir()):
        raise ConfigError("--json", str(path), "a file that can be written")


def write_answer(path: Path | None, answer: dict[str, Any], *, kept: Path) -> None:
    """Write the JSON that --json asked for; `kept` is where it is anyway.

    Raises:
        ConfigError: it cannot be written any more.
    """
    from scenarios.run_directory import json_text

    if path is None:
        return
    text = json_text(answer)
    if path == Path("-"):
        click.echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as fault:
        raise ConfigError("--json", str(path), f"a file that can be written ({fault.strerror}); see {kept}") from None


def say(text: str, given: Mapping[str, Any]) -> None:
    """Print a line for people: on standard error when standard output is for the JSON."""
    click.echo(text, err=given["json_file"] == Path("-"))
