"""trio: `swarmbed run`: play a scenario in this process.

Source: DESIGN section 6.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netem.errors import ConfigError
from scenarios.cli import PATH, again

if TYPE_CHECKING:
    from scenarios.runner import Result


@click.command()
@click.argument("scenario")
@click.option("--nodes", metavar="N", help="How many nodes, beside the tracker.")
@click.option("--seed", default="1", show_default=True, help="The run's seed, a whole number.")
@click.option("--time", "time_", default="real", show_default=True, help="real or virtual.")
@click.option("--duration", metavar="SECONDS", help="How long the scenario's crowd keeps coming.")
@click.option("--params", "params_file", type=PATH, metavar="FILE.toml", help="Parameter values from a file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One parameter; see `swarmbed list`.")
@click.option("--content", type=PATH, metavar="DIR", help="Share the files below DIR.")
@click.option("--out", type=PATH, metavar="DIR", help="The run directory; it must be new or empty.")
@click.option("--json", "json_file", type=PATH, metavar="FILE", help="Write the result there too (- for stdout).")
@click.option("--procs", default="1", show_default=True, help="Processes that share the nodes.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(scenario: str, **given: Any) -> int:
    """Run SCENARIO and print its claims. Exit status: 0 all hold, 1 a claim failed, 2 usage, 3 void, 130 after Ctrl-C (or SIGTERM)."""
    from scenarios.catalogue import scenario_named
    from scenarios.runner import run_scenario
    from scenarios.tables import result_lines

    chosen = scenario_named(scenario)
    options = _options(given)
    if given["json_file"]:
        _check_writable(given["json_file"], beside=options.out)
    on_stdout = given["json_file"] == Path("-")
    _say(f"seed {options.seed}", error=on_stdout)
    result = run_scenario(chosen, _values(given), options)
    for line in result_lines(result, again=again()):
        _say(line, error=on_stdout)
    if given["json_file"]:
        _write_result(given["json_file"], result)
    return result.status


def _options(given: dict[str, Any]) -> Any:
    from scenarios.options import Options

    seed, procs = (_whole(f"--{key}", given[key]) for key in ("seed", "procs"))
    if given["time_"] not in {"real", "virtual"}:
        raise ConfigError("--time", given["time_"], "real or virtual")
    return Options(
        seed=seed, time=given["time_"], content=given["content"], out=given["out"], quiet=given["quiet"], procs=procs
    )


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(option, text, "a whole number") from None


def _values(given: dict[str, Any]) -> dict[str, object]:
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


def _write_result(path: Path, result: Result) -> None:
    from scenarios.run_directory import json_text

    text = json_text(result.to_dict())
    if path == Path("-"):
        click.echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as fault:
        kept = result.directory / "result.json"
        raise ConfigError("--json", str(path), f"a file that can be written ({fault.strerror}); see {kept}") from None


def _say(text: str, *, error: bool) -> None:
    click.echo(text, err=error)
