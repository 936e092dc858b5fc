"""trio: which real files a run shares: the user's directory, or the interpreter's own standard library. Blocking, before a run.

Nothing is shipped and nothing is made up: by default large files of the standard library are used, up to 16 MiB.
"""

from __future__ import annotations

import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from netem.errors import ConfigError
from node.content import scan

STANDARD_LIBRARY_BYTES = 16 * 1024 * 1024
LARGEST_FILE_BYTES = 800 * 1024  # one server needs seconds, not minutes, to upload a copy
_NOT_CONTENT = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Shared:
    """One file to share: its name in the catalogue, where it is, and its size."""

    name: str
    path: Path
    size_bytes: int


def user_content(directory: Path) -> list[Shared]:
    """Return every regular file below a directory, by name.

    Raises:
        ConfigError: the directory is missing, unreadable or empty, or a file in it cannot be read.
    """
    files = [Shared(name, path, path.stat().st_size) for name, path in scan(directory)]
    if len(files) < 2:
        raise ConfigError("--content", str(directory), f"a directory with at least 2 files (it has {len(files)})")
    return files


def standard_library(count: int) -> list[Shared]:
    """Return the `count` largest files of the standard library below their even share of 16 MiB, and 800 KiB, by name.

    So they fit into 16 MiB together, and their sizes are alike.
    """
    largest_bytes = min(LARGEST_FILE_BYTES, STANDARD_LIBRARY_BYTES // count)
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NOT_CONTENT)
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= largest_bytes:
                found.append(Shared(path.relative_to(root).as_posix(), path, path.stat().st_size))
    chosen = sorted(found, key=lambda file: (-file.size_bytes, file.name))[:count]
    return sorted(chosen, key=lambda file: file.name)
