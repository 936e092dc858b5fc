"""trio: the fates of a run's datagrams in a file, `fates.msgpack`: every arrival, and what each link did. Blocking, called inline.

MessagePack arrays, one after the other; files of several processes are simply put together:

- `["fates", 1, run_seed]` begins what one process knows;
- `["arrivals", links, numbers, delays_ns]`: columns as little-endian bytes (u32, u32, i64), in the order of arrival: link id in this
  process, packet number, own delay;
- `["link", id, source, target, offered, copies, drops by cause, [[configuration, packets], ...]]`, at the end; see `Link.exposures`.

An arrival takes 16 bytes and well under 0.1 µs, for the columns are written whole.

Source: DESIGN section 3 (a columnar log).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from netem.fates import Cause, FateLog
from netem.plain_link import to_plain
from netem.route import Route

VERSION = 1
_CAUSES = [(cause.name.lower(), cause) for cause in Cause]
COLUMNS: Sequence[np.dtype[Any]] = (np.dtype("<u4"), np.dtype("<u4"), np.dtype("<i8"))  # link id, number, own delay


class FateFile:
    """Write a process's fates to a file.

    Args:
        path: the file; it is made anew.
        log: what is received here; its `keep` becomes this.
        run_seed: the run's.
        on_failure: told once, in words, when the disk failed; nothing more is written then.
    """

    def __init__(self, path: Path, log: FateLog, *, run_seed: int, on_failure: Callable[[str], None]) -> None:
        self._path = path
        self._log = log
        self._on_failure = on_failure
        self._failed = False
        self._encode = msgspec.msgpack.Encoder().encode
        self._file = path.open("wb")
        self._write(["fates", VERSION, run_seed])
        log.keep = self._keep

    def _keep(self, links: np.ndarray, numbers: np.ndarray, delays_ns: np.ndarray) -> None:
        columns = zip((links, numbers, delays_ns), COLUMNS, strict=True)
        self._write(["arrivals", *(column.astype(dtype).tobytes() for column, dtype in columns)])

    def finish(self, routes: Sequence[Route]) -> None:
        """Write what is not yet folded and what each link did, and close; the network has ended."""
        self._log.fold()
        for route in routes:
            link = route.link
            drops = {name: link.dropped[cause] for name, cause in _CAUSES if link.dropped[cause]}
            met = [[to_plain(exposure.config), exposure.packets] for exposure in link.exposures()]
            self._write(["link", link.link_id, link.source, link.target, link.offered, link.duplicated, drops, met])
        try:
            self._file.close()
        except OSError as fault:
            self._fail(fault)

    def _write(self, frame: list[Any]) -> None:
        if not self._failed:
            try:
                self._file.write(self._encode(frame))
            except OSError as fault:
                self._fail(fault)

    def _fail(self, fault: OSError) -> None:
        if not self._failed:
            self._failed = True
            self._on_failure(f"cannot write {self._path}: {fault.strerror}")


def join(parts: Sequence[Path], path: Path) -> None:
    """Put the files of several processes together, and raise OSError when the disk fails."""
    with path.open("wb") as file:
        for part in parts:
            with part.open("rb") as one:
                shutil.copyfileobj(one, file)
