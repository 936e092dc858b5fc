"""trio: the control socket of a run in real time: a Unix socket in the run directory, for its owner alone.

One JSON line asks, one answers. A run in simulated time has none: it would not repeat.

Source: DESIGN section 6.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import trio

from netem.errors import ConfigError
from scenarios.live_controls import Answer, AnyControl, decode_control, encode

NAME = "control.sock"
MOST_BYTES = 1024 * 1024
PATIENCE_S = 5.0
_LONGEST_PATH_BYTES = 100  # of a Unix socket's address, with room for every system's own limit


async def serve_controls(
    directory: Path,
    do: Callable[[AnyControl], Answer],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer controls until cancelled; the socket is gone then.

    Raises:
        OSError: there can be no socket in this directory.
    """
    with _bound(directory) as bound:
        listener = trio.socket.from_stdlib_socket(bound)
        try:
            listener.listen()
            task_status.started()
            async with trio.open_nursery() as nursery:
                while True:
                    client, _ = await listener.accept()
                    nursery.start_soon(_answer, trio.SocketStream(client), do)
        finally:
            (directory / NAME).unlink(missing_ok=True)


def _bound(directory: Path) -> socket.socket:
    """Bind the socket at once: no other task or thread may create a file under the narrow umask."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # its owner's alone from its first moment: a chmod would come too late
    try:
        with short_path(directory) as path:
            bound.bind(path)
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


async def _answer(stream: trio.SocketStream, do: Callable[[AnyControl], Answer]) -> None:
    with trio.move_on_after(PATIENCE_S), contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async with stream:
            line = await _read_line(stream)
            if line is not None:
                await stream.send_all(encode(_done(line, do)) + b"\n")


async def _read_line(stream: trio.SocketStream) -> bytes | None:
    line = bytearray()
    async for data in stream:
        line += data
        if line.endswith(b"\n"):
            return bytes(line)
        if len(line) > MOST_BYTES:
            break
    return None


def _done(line: bytes, do: Callable[[AnyControl], Answer]) -> Answer:
    try:
        return do(decode_control(line))
    except msgspec.DecodeError as fault:
        return Answer(refused=("control", line[:100].decode(errors="replace").strip(), str(fault)))
    except ConfigError as fault:
        return Answer(refused=(fault.field, str(fault.value), fault.allowed))


@contextlib.contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """Give a path to the socket of a directory that is short enough for the system, while the block lasts.

    Raises:
        OSError: the directory is gone, or its path is too long where there is no way round it.
    """
    path = str(directory / NAME)
    if len(os.fsencode(path)) <= _LONGEST_PATH_BYTES or sys.platform != "linux":
        yield path
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
