"""trio: the command line `swarmbed`. Heavy imports happen inside commands, so that help comes at once.

Source: DESIGN section 6.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netem.errors import ConfigError, SwarmbedError

if TYPE_CHECKING:
    from scenarios.runner import Result

EXIT_USAGE = 2
EXIT_VOID = 3
EXIT_INTERRUPTED = 130
_DIRECTORY = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="swarmbed")
@click.pass_context
def cli(context: click.Context) -> None:
    """Emulate peer-to-peer markets on lossy networks, with theory beside measurement."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_scenarios(*, as_json: bool) -> None:
    """List the scenarios, with the question that each asks."""
    from scenarios.catalogue import scenario_named, scenario_names

    found = [scenario_named(name) for name in scenario_names()]
    if as_json:
        rows = [{"name": s.name, "question": s.question, "params": _describe(s.params)} for s in found]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for scenario in found:
        click.echo(f"{scenario.name}\n  {scenario.question.splitlines()[0]}")
        for key, row in _describe(scenario.params).items():
            click.echo(f"    {key} = {row['default']}: {row['description']} ({row['allowed']})")


@cli.command()
@click.argument("scenario")
@click.option("--nodes", metavar="N", help="How many nodes, beside the tracker.")
@click.option("--seed", default="1", show_default=True, help="The run's seed, a whole number.")
@click.option("--time", "time_", default="real", show_default=True, help="real or virtual.")
@click.option("--duration", metavar="SECONDS", help="How long the scenario's crowd keeps coming.")
@click.option("--params", "params_file", type=_DIRECTORY, metavar="FILE.toml", help="Parameter values from a file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One parameter; see `swarmbed list`.")
@click.option("--content", type=_DIRECTORY, metavar="DIR", help="Share the files below DIR.")
@click.option("--out", type=_DIRECTORY, metavar="DIR", help="The run directory; it must be new or empty.")
@click.option("--json", "json_file", type=_DIRECTORY, metavar="FILE", help="Write the result there too (- for stdout).")
@click.option("--quiet", is_flag=True, help="No progress.")
def run(scenario: str, **given: Any) -> int:
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
    for line in result_lines(result, again=_again()):
        _say(line, error=on_stdout)
    if given["json_file"]:
        _write_result(given["json_file"], result)
    return result.status


@cli.command()
@click.argument("run_dir", type=_DIRECTORY)
@click.argument("account")
def why(run_dir: Path, account: str) -> int:
    """Explain every movement of ACCOUNT (such as user/1f3a, a unique prefix will do) in RUN_DIR's ledger."""
    from tracker.bank.why import render_why
    from tracker.bank.why import why as explain

    for line in render_why(explain(_ledger(run_dir), account)):
        click.echo(line)
    return 0


@cli.command()
@click.argument("run_dir", type=_DIRECTORY)
def audit(run_dir: Path) -> int:
    """Replay RUN_DIR's journal from disk; check its hash chain and the invariants I1-I8. Exit 3 when one fails."""
    from tracker.bank.audit import audit as replay
    from tracker.bank.audit import render_audit

    report = replay(_ledger(run_dir))
    for line in render_audit(report):
        click.echo(line)
    return 0 if report.ok else EXIT_VOID


def main() -> None:
    """Run the command line and exit with its status: one clear line for every mistake, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path or a π the terminal cannot show must not end a run
    _exit(lambda: cli.main(standalone_mode=False))


def _exit(command: Callable[[], Any]) -> None:
    try:
        status = command()
    except* ConfigError as faults:
        status = _complain(faults, EXIT_USAGE)
    except* SwarmbedError as faults:  # a ledger or a disk that failed, an invariant that did not hold
        status = _complain(faults, EXIT_VOID)
    except* click.exceptions.Abort:
        status = EXIT_INTERRUPTED
    except* click.ClickException as faults:
        status = _complain(faults, EXIT_USAGE)
    except* KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    sys.exit(status if isinstance(status, int) else 0)


def _complain(faults: BaseExceptionGroup[Any], status: int) -> int:
    fault: BaseException = faults
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    text = fault.format_message() if isinstance(fault, click.ClickException) else str(fault)
    click.echo(f"swarmbed: {' '.join(text.splitlines())}", err=True)
    if status == EXIT_VOID:
        click.echo(f"swarmbed: to run it again: {_again()}", err=True)
    return status


def _options(given: dict[str, Any]) -> Any:
    from scenarios.options import Options

    try:
        seed = int(given["seed"])
    except ValueError:
        raise ConfigError("--seed", given["seed"], "a whole number") from None
    if given["time_"] not in {"real", "virtual"}:
        raise ConfigError("--time", given["time_"], "real or virtual")
    return Options(seed=seed, time=given["time_"], content=given["content"], out=given["out"], quiet=given["quiet"])


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


def _ledger(run_dir: Path) -> Path:
    path = run_dir / "ledger.sqlite"
    if not path.is_file():
        raise ConfigError("RUN_DIR", str(run_dir), "a run directory, with a ledger.sqlite in it")
    return path


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


def _describe(kind: Any) -> dict[str, dict[str, Any]]:
    from scenarios.parameters import describe

    return describe(kind)


def _again() -> str:
    return shlex.join(["swarmbed", *sys.argv[1:]])


def _say(text: str, *, error: bool) -> None:
    click.echo(text, err=error)
