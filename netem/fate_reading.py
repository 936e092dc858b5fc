"""trio: reads what `netem.fate_file` wrote: a run's arrivals by link, and what each link did. Blocking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import numpy as np

from netem.errors import ConfigError
from netem.fate_file import COLUMNS, VERSION
from netem.link import Exposure
from netem.plain_link import from_plain
from netem.run_fates import LinkFate, RunFates

_LARGEST_BYTES = 64 * 1024 * 1024
_LinkRow = tuple[int, str, str, int, int, dict[str, int], list[tuple[bytes, int]]]


class _Section:
    """What one process wrote."""

    def __init__(self) -> None:
        self.columns: list[list[np.ndarray]] = []
        self.links: list[_LinkRow] = []


def read_fates(path: Path) -> RunFates:
    """Read the fates of a run.

    Raises:
        ConfigError: the file is missing, damaged, cut off, or of another version.
    """
    try:
        run_seed, sections = _sections(_frames(path))
        links: dict[tuple[str, str], LinkFate] = {}
        before = 0
        for section in sections:
            _add(section, links, before)
            before += sum(len(column) for column, *_ in section.columns)
    except (OSError, ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException, msgspec.DecodeError) as fault:
        raise ConfigError("RUN_DIR", str(path), f"a run directory with readable fates ({fault})") from None
    return RunFates(run_seed, dict(sorted(links.items())))


def _frames(path: Path) -> Iterator[list[Any]]:
    with path.open("rb") as file:
        unpacker = msgpack.Unpacker(file, max_buffer_size=_LARGEST_BYTES)
        end = 0
        for frame in unpacker:
            end = unpacker.tell()
            yield frame
        if not end or end != file.tell():
            raise ValueError("it is cut off")


def _sections(frames: Iterable[list[Any]]) -> tuple[int, list[_Section]]:
    run_seed = 0
    sections: list[_Section] = []
    for kind, *rest in frames:
        if kind == "fates":
            version, run_seed = msgspec.convert(rest, tuple[int, int])
            if version != VERSION:
                raise ValueError(f"version {version}, not {VERSION}")
            sections.append(_Section())
        elif not sections:
            raise ValueError("it does not begin as fates do")
        elif kind == "arrivals":
            packed = msgspec.convert(rest, tuple[bytes, bytes, bytes])
            columns = [np.frombuffer(data, dtype) for data, dtype in zip(packed, COLUMNS, strict=True)]
            if len({len(column) for column in columns}) != 1:
                raise ValueError("its columns differ in length")
            sections[-1].columns.append(columns)
        else:
            sections[-1].links.append(msgspec.convert(rest, _LinkRow))
    if not all(section.links or not section.columns for section in sections):
        raise ValueError("it is cut off")
    return run_seed, sections


def _add(section: _Section, links: dict[tuple[str, str], LinkFate], before: int) -> None:
    """Add what a process knows; `before` arrivals were in the sections before it."""
    columns = section.columns or [[np.zeros(0, dtype=np.int64)] * len(COLUMNS)]
    ids, numbers, delays = (np.concatenate(parts).astype(np.int64) for parts in zip(*columns, strict=True))
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    for link_id, source, target, offered, copies, drops, met in section.links:
        low, high = np.searchsorted(ordered, [link_id, link_id + 1])
        places = order[low:high]
        link = links.setdefault((source, target), LinkFate())
        link.offered += offered
        link.copies += copies
        for cause, n in drops.items():
            link.dropped[cause] = link.dropped.get(cause, 0) + n
        if met:
            link.exposures = tuple(Exposure(from_plain(config), packets) for config, packets in met)
        link.numbers = np.concatenate((link.numbers, numbers[places]))
        link.delays_ns = np.concatenate((link.delays_ns, delays[places]))
        link.places = np.concatenate((link.places, places + before))
