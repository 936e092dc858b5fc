"""trio: how a command reaches a running run: by the control socket in its directory. Blocking.

Source: DESIGN section 6.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import click
import msgspec

from netem.errors import ConfigError
from scenarios.control_socket import PATIENCE_S, short_path
from scenarios.live_controls import Answer, AnyControl, decode_answer, encode

FIELD = "RUN_DIR"


def ask(run_dir: Path, control: AnyControl) -> Answer:
    """Let a running run do something, and return what it answers.

    Raises:
        ConfigError: it is no run directory, the run has ended or runs in simulated time, or the run refuses.
    """
    _check(run_dir)
    try:
        with short_path(run_dir) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(2 * PATIENCE_S)
            sock.connect(path)
            sock.sendall(encode(control) + b"\n")
            with sock.makefile("rb") as file:
                answer = decode_answer(file.readline())
    except FileNotFoundError:
        raise _refusal(run_dir, "a run that goes on: this one has not begun to play, or has ended") from None
    except ConnectionRefusedError:
        raise _refusal(run_dir, "a run that goes on: this one was killed, and its control socket is stale") from None
    except PermissionError:
        raise _refusal(run_dir, "a run of your own") from None
    except (OSError, msgspec.DecodeError) as fault:
        raise _refusal(run_dir, f"a run that answers ({fault})") from None
    if answer.refused is not None:
        raise ConfigError(*answer.refused)
    return answer


def tell(run_dir: Path, control: AnyControl) -> int:
    """Let a run do something and print what it did; return the exit status. See `ask`."""
    for line in ask(run_dir, control).said:
        click.echo(line)
    return 0


def _check(run_dir: Path) -> None:
    try:
        about = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _refusal(run_dir, "a run directory, with a run.json in it") from None
    if about.get("time") == "virtual":
        raise _refusal(
            run_dir, "a run in real time: one in simulated time cannot be changed from outside, or it would not repeat"
        )
    if (run_dir / "result.json").exists():
        raise _refusal(run_dir, "a run that goes on: this one has ended")


def _refusal(run_dir: Path, allowed: str) -> ConfigError:
    return ConfigError(FIELD, str(run_dir), allowed)
