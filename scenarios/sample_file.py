"""trio: samples of a run on disk, `samples.msgpack`: what its events and its ledger do not tell. Blocking, buffered.

MessagePack arrays: `["samples", version]` first, `["series", name, labels]` for each series as it comes (numbered from 0), `["at",
time_ms, numbers, values, gone]` for each sample with what changed since the one before, `["nodes", [[id, name, role], ...]]` at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import numpy as np

from netem.errors import ConfigError
from scenarios.promql.frames import Integers, Numbers
from scenarios.promql.store import STALE, Description

VERSION = 1
FILE = "samples.msgpack"
_LARGEST_BYTES = 16 * 1024 * 1024
Node = tuple[bytes, str, str]


class SampleFile:
    """Write samples (a `Sink`).

    A disk that fails ends the recording, not the run: `failure` says why then, and nothing more is written.
    """

    def __init__(self, path: Path) -> None:
        self.descriptions: dict[str, Description] = {}
        self.failure = ""
        self._path = path
        self._file = path.open("wb")
        self._encoder = msgspec.msgpack.Encoder()
        self._numbers: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._last: dict[int, float] = {}
        self._bounds_ms = (0, -1)
        self._write(("samples", VERSION))

    def series(self, name: str, labels: Mapping[str, str]) -> int:
        """Return the number of a series, the same for the same name and labels."""
        key = name, tuple(sorted(labels.items()))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._write(("series", name, dict(labels)))
        return number

    def append(self, time_ms: int, numbers: Sequence[int], values: Sequence[float]) -> None:
        """Write one sample; series that are not in it have ended."""
        now = dict(zip(numbers, values, strict=True))
        last = self._last
        changed = {number: value for number, value in now.items() if last.get(number) != value}
        gone = [number for number in last if number not in now]
        self._write(("at", time_ms, list(changed), [_short(value) for value in changed.values()], gone))
        self._last = now
        self._bounds_ms = (self._bounds_ms[0] or time_ms, time_ms)

    def bounds_ms(self) -> tuple[int, int]:
        """Return the times of the first and the last sample; (0, -1) before the first."""
        return self._bounds_ms

    def close(self, nodes: Sequence[Node]) -> None:
        """Write who took part, and close the file."""
        self._write(("nodes", nodes))
        try:
            self._file.close()
        except OSError as fault:
            self.failure = self.failure or f"cannot write {self._path}: {fault.strerror}"

    def _write(self, record: tuple[Any, ...]) -> None:
        if self.failure:
            return
        try:
            self._file.write(self._encoder.encode(record))
        except OSError as fault:
            self.failure = f"cannot write {self._path}: {fault.strerror}"


@dataclass(slots=True)
class Recorded:
    """What a sample file holds.

    Attributes:
        times_ms: (K,), rising.
        series: name and labels of each of S series.
        values: (S, K), stale where a series has no sample.
        nodes: id, name and role of those that took part; empty for a run that was killed.
        cut_off: whether the file ends in the midst of a record.
    """

    times_ms: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    series: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    values: Numbers = field(default_factory=lambda: np.zeros((0, 0)))
    nodes: list[Node] = field(default_factory=list)
    cut_off: bool = False


def read_samples(path: Path) -> Recorded:
    """Read a sample file; one that is not there is empty, and one that is cut off ends there.

    Raises:
        ConfigError: it is damaged, or of another version.
    """
    found = Recorded()
    if path.is_file():
        try:
            _read(path, found)
        except (OSError, ValueError, TypeError, IndexError, msgpack.exceptions.UnpackException) as fault:
            raise ConfigError("RUN_DIR", str(path), f"a run directory with readable samples ({fault})") from None
    return found


def _read(path: Path, found: Recorded) -> None:
    times: list[int] = []
    rows: list[Numbers] = []
    for record in _records(path, found):
        match record:
            case ["samples", version] if version == VERSION:
                pass
            case ["series", str(name), dict(labels)]:
                found.series.append((name, labels))
            case ["at", int(time_ms), list(numbers), list(values), list(gone)]:
                row = np.full(len(found.series), STALE)
                if rows:
                    row[: len(rows[-1])] = rows[-1]
                row[np.array(numbers, np.int64)] = values
                row[np.array(gone, np.int64)] = STALE
                times.append(time_ms)
                rows.append(row)
            case ["nodes", list(nodes)]:
                found.nodes = [(node, name, role) for node, name, role in nodes]
            case _:
                raise ValueError("it is of another version")
    found.times_ms = np.array(times, np.int64)
    found.values = np.full((len(found.series), len(rows)), STALE)
    for place, row in enumerate(rows):
        found.values[: len(row), place] = row


def _records(path: Path, found: Recorded) -> Iterator[list[Any]]:
    with path.open("rb") as file:
        unpacker = msgpack.Unpacker(file, max_buffer_size=_LARGEST_BYTES)
        end = 0
        for record in unpacker:
            end = unpacker.tell()
            yield record
        found.cut_off = end != file.tell()


def _short(value: float) -> float:
    """Return a whole number as an int: it takes a byte or a few instead of nine."""
    return int(value) if abs(value) < 2**53 and value == int(value) else value
