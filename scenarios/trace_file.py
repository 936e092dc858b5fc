"""trio: the trace file of a run, `events.msgpack`: one MessagePack array [time_ns, [kind, field, ...]] per event.

Blocking, buffered and called inline: an event costs about a microsecond. Any MessagePack reader can read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgpack
import msgspec

from netem.errors import ConfigError, SwarmbedError
from netem.events import Event

_LARGEST_EVENT_BYTES = 16 * 1024 * 1024


class TraceError(SwarmbedError):
    """Report a trace that cannot be written: its disk is full or gone, and the run has lost events."""


class TraceFile:
    """Write every event of a run to a file; a fold over the event stream."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False
        self._file = path.open("wb")
        self._encoder = msgspec.msgpack.Encoder()

    def fold(self, time_ns: int, event: Event) -> None:
        """Append an event.

        Raises:
            TraceError: the disk failed; said once, and further events are lost in silence while the run ends.
        """
        if self._failed:
            return
        try:
            self._file.write(self._encoder.encode((time_ns, event)))
        except OSError as error:
            self._failed = True
            raise TraceError(f"cannot write {self._path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as fault:
            # Whatever ends the run already says more.
            if error is None and not self._failed:
                raise TraceError(f"cannot write {self._path}: {fault.strerror}") from fault


class Trace:
    """A trace on disk; `cut_off` tells after reading whether it ends in the midst of an event, as that of a killed run may."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut_off = False

    def read(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield (time_ns, [kind, field, ...]), in order; up to the cut if there is one.

        Raises:
            ConfigError: the file is missing, or is no trace.
        """
        try:
            with self.path.open("rb") as file:
                unpacker = msgpack.Unpacker(file, max_buffer_size=_LARGEST_EVENT_BYTES)
                end = 0
                for time_ns, event in unpacker:
                    end = unpacker.tell()  # at the end of the file it would count half an event too
                    yield time_ns, event
                self.cut_off = end != file.tell()
        except (OSError, ValueError, TypeError, msgpack.exceptions.BufferFull) as fault:
            raise ConfigError("RUN_DIR", str(self.path), f"a run directory with a readable trace ({fault})") from None


def read_trace(path: Path) -> Iterator[tuple[int, list[Any]]]:
    """Yield (time_ns, [kind, field, ...]) of a trace file, in order, up to the cut if it has one; raise as `Trace.read`."""
    return Trace(path).read()
