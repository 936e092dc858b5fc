"""Pure: files as pieces and blocks, and the manifests that name them.

A manifest's root covers name, size and every piece hash, so that whoever knows the root can check all the rest.
`scan` and `make_manifest` read the experimenter's files; everything else is arithmetic on plain values.

Source: DESIGN section 4.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from netem.errors import ConfigError, RemoteProtocolError
from tracker.messages import BLOCK_BYTES, PIECE_BYTES, Manifest

BLOCKS_PER_PIECE = PIECE_BYTES // BLOCK_BYTES
MAX_NAME_CHARACTERS = 1_024
_DOMAIN = b"swarmbed manifest 1\x00"


def piece_count(size_bytes: int) -> int:
    """Return how many pieces a file of `size_bytes` >= 0 has; an empty file has none."""
    return -(-size_bytes // PIECE_BYTES)


def piece_bytes(size_bytes: int, piece: int) -> int:
    """Return the length of one piece in bytes; only the last may be short, and an index outside the file gives 0."""
    if piece < 0:
        return 0
    return max(0, min(PIECE_BYTES, size_bytes - piece * PIECE_BYTES))


def block_count(size_bytes: int, piece: int) -> int:
    """Return how many blocks (of at most 1024 bytes) one piece has; 0 outside the file."""
    return -(-piece_bytes(size_bytes, piece) // BLOCK_BYTES)


def manifest_root(name: str, size_bytes: int, pieces: Sequence[bytes]) -> bytes:
    """Hash name, size and piece hashes into the 32 bytes that name a file.

    Domain-separated, and every part is preceded by its length, so that no two manifests hash the same bytes.

    Raises:
        UnicodeEncodeError: `name` is not valid Unicode.
    """
    raw = name.encode()
    digest = hashlib.sha256(_DOMAIN)
    digest.update(len(raw).to_bytes(8, "big") + raw)
    digest.update(size_bytes.to_bytes(8, "big") + len(pieces).to_bytes(8, "big"))
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def make_manifest(name: str, source: Path) -> Manifest:
    """Read a file and return its manifest under `name` (a relative POSIX path).

    Raises:
        ConfigError: the file cannot be read, or the name is not fit for a manifest.
    """
    fault = _name_fault(name)
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


def check_manifest(manifest: Manifest) -> None:
    """Accept a manifest from the network or refuse it.

    Raises:
        RemoteProtocolError: kind `bad-manifest`: unsafe name, piece count that does not fit the size, or wrong root.
    """
    fault = _name_fault(manifest.name)
    if fault:
        raise RemoteProtocolError("bad-manifest", fault)
    if len(manifest.pieces) != piece_count(manifest.size_bytes):
        raise RemoteProtocolError("bad-manifest", f"{len(manifest.pieces)} pieces for {manifest.size_bytes} bytes")
    if manifest.root != manifest_root(manifest.name, manifest.size_bytes, manifest.pieces):
        raise RemoteProtocolError("bad-manifest", "the root does not match")


def _name_fault(name: str) -> str:
    """Say what is wrong with a file name; empty if nothing is."""
    if not name or len(name) > MAX_NAME_CHARACTERS:
        return f"1 to {MAX_NAME_CHARACTERS} characters"
    if "\x00" in name:
        return "no NUL"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "valid Unicode only"
    path = PurePosixPath(name)
    # str(path) differs from name when there are empty or "." components.
    if not path.parts or path.is_absolute() or ".." in path.parts or str(path) != name:
        return "relative, without empty, '.' or '..' components"
    return ""


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
    fault = _name_fault(name)
    if fault:
        raise ConfigError("--content", os.fsencode(path), f"file names in valid UTF-8, short enough ({fault})")
    if not os.access(path, os.R_OK):
        raise ConfigError("--content", path, "readable files")
    return name
