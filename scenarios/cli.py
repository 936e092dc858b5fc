"""trio: the command line `swarmbed`: finds its commands, and turns every mistake into one clear line and an exit status.

Commands are the modules of `scenarios/commands/`; heavy imports happen inside them, so that help comes at once.

Source: DESIGN section 6.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from netem.errors import ConfigError, SwarmbedError, first_of
from scenarios import commands
from scenarios.command_group import Commands

EXIT_USAGE = 2
EXIT_VOID = 3
EXIT_INTERRUPTED = 130
_NEW_OBJECTS = 1_000_000
_STDOUT = 1


class _PathWithName(click.Path):
    """A path that is not empty: an unset variable of a script would else mean the directory one is in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            field = (
                param.opts[0]
                if isinstance(param, click.Option)
                else "PATH"
                if param is None
                else param.human_readable_name
            )
            raise ConfigError(field, "", "a path")
        return super().convert(value, param, ctx)


PATH = _PathWithName(path_type=Path)


@click.group(
    cls=Commands,
    package=commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(package_name="swarmbed")
@click.pass_context
def cli(context: click.Context) -> None:
    """Emulate peer-to-peer markets on lossy networks, with theory beside measurement."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command line and exit with its status: one clear line for every mistake, never a traceback."""
    gc.set_threshold(_NEW_OBJECTS)  # what imports make lasts: looking through it for garbage takes half a second
    atexit.register(gc.freeze)  # nor is it worth a second to look through what a run has left when the process ends
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
    except* click.ClickException as faults:
        status = _complain(faults, EXIT_USAGE)
    except* (click.exceptions.Abort, KeyboardInterrupt):  # click makes the one of the other
        click.echo("swarmbed: interrupted", err=True)
        status = EXIT_INTERRUPTED
    except* OSError:
        reason = _unprinted()
        if reason is None:
            raise
        click.echo(f"swarmbed: standard output cannot be written: {reason}", err=True)
        status = EXIT_VOID
    sys.exit(status if isinstance(status, int) else 0)


def _unprinted() -> str | None:
    """Say why standard output takes nothing, if it does not, and let it take what is still to come."""
    try:
        os.write(_STDOUT, b"\n")
    except OSError as fault:
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)  # else Python, at its end, would stumble over it again
        return fault.strerror
    return None


def _complain(faults: BaseExceptionGroup[Any], status: int) -> int:
    fault = first_of(faults)
    text = fault.format_message() if isinstance(fault, click.ClickException) else str(fault)
    click.echo(f"swarmbed: {' '.join(text.splitlines())}", err=True)
    if status == EXIT_VOID:
        click.echo(f"swarmbed: to run it again: {again()}", err=True)
    return status


def again() -> str:
    """Return the command that repeats this one."""
    return shlex.join(["swarmbed", *sys.argv[1:]])


def ledger_of(run_dir: Path) -> Path:
    """Return a run directory's ledger.

    Raises:
        ConfigError: it has none.
    """
    path = run_dir / "ledger.sqlite"
    if not path.is_file():
        raise ConfigError("RUN_DIR", str(run_dir), "a run directory, with a ledger.sqlite in it")
    return path
