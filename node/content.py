"""Pure: files as pieces and blocks, and the manifests of files on disk.

`scan` and `make_manifest` read the experimenter's files; everything else is arithmetic on plain values.

Source: DESIGN section 4.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from pathlib import Path

from netem.errors import ConfigError
from tracker.manifest import manifest_root, name_fault
from tracker.messages import BLOCK_BYTES, PIECE_BYTES, Manifest

BLOCKS_PER_PIECE = PIECE_BYTES // BLOCK_BYTES


def piece_bytes(size_bytes: int, piece: int) -> int:
    """Return the length of one piece in bytes; only the last may be short, and an index outside the file gives 0."""
    if piece < 0:
        return 0
    return max(0, min(PIECE_BYTES, size_bytes - piece * PIECE_BYTES))


def block_count(size_bytes: int, piece: int) -> int:
    """Return how many blocks (of at most 1024 bytes) one piece has; 0 outside the file."""
    return -(-piece_bytes(size_bytes, piece) // BLOCK_BYTES)


def make_manifest(name: str, source: Path) -> Manifest:
    """Read a file and return its manifest under `name` (a relative POSIX path).

    Raises:
        ConfigError: the file cannot be read, or the name is not fit for a manifest.
    """
    fault = name_fault(name)
    if fault:
        raise ConfigError("--content", name, f"file names that are relative, valid UTF-8 and short enough ({fault})")
    try:
        state = source.stat()
        pieces, size_bytes = _hash_pieces(str(source), state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise ConfigError("--content", str(source), f"readable files ({error.strerror})") from error
    return Manifest(name=name, size_bytes=size_bytes, pieces=pieces, root=manifest_root(name, size_bytes, pieces))


@functools.lru_cache(maxsize=4096)
def _hash_pieces(path: str, _size_bytes: int, _mtime_ns: int) -> tuple[list[bytes], int]:
    """Return the pieces' hashes and the size read; a file that many nodes publish is read once while it stays the same."""
    pieces, size_bytes = [], 0
    with Path(path).open("rb") as file:
        while data := file.read(PIECE_BYTES):
            pieces.append(hashlib.sha256(data).digest())
            size_bytes += len(data)
    return pieces, size_bytes


def scan(directory: Path) -> list[tuple[str, Path]]:
    """List the regular files below a directory as (relative POSIX name, path), sorted by name.

    Symbolic links below it are not followed, and neither they nor sockets, pipes and devices are listed.

    Raises:
        ConfigError: the directory is missing, no directory or unreadable, a file in it is unreadable, or a name is not
            valid UTF-8 or too long.
    """
    if not directory.exists():
        raise ConfigError("--content", str(directory), "a directory that exists")
    if not directory.is_dir():
        raise ConfigError("--content", str(directory), "a directory")
    found: list[tuple[str, Path]] = []
    waiting = [("", str(directory))]
    while waiting:
        prefix, folder = waiting.pop()
        _scan_folder(prefix, folder, found=found, waiting=waiting)
    return sorted(found)


def _scan_folder(prefix: str, folder: str, *, found: list[tuple[str, Path]], waiting: list[tuple[str, str]]) -> None:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                elif stat.S_ISREG(mode):
                    found.append((_checked(prefix + entry.name, entry.path), Path(entry.path)))
    except OSError as error:
        raise ConfigError("--content", folder, f"readable directories ({error.strerror})") from error


def _checked(name: str, path: str) -> str:
    fault = name_fault(name)
    if fault:
        raise ConfigError("--content", os.fsencode(path), f"file names in valid UTF-8, short enough ({fault})")
    if not os.access(path, os.R_OK):
        raise ConfigError("--content", path, "readable files")
    return name
