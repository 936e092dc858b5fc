"""trio: a node's files on disk, by blocking calls made inline: they read and write the page cache, and nothing waits.

Files live under the hash of their manifest, never under a name from the network. What was written survives a kill of the process, not of the
machine: nothing is flushed to the platter, because a run's files can always be fetched again.

Source: DESIGN section 4.
"""

from __future__ import annotations

import os
from pathlib import Path

from netem.errors import LocalProtocolError
from node.descriptors import Descriptors
from node.partial_file import PartialFile, StoreError
from tracker.messages import BLOCK_BYTES, PIECE_BYTES, Manifest

READ_AHEAD_BYTES = 8 * BLOCK_BYTES
MAX_AHEAD = 16  # files read ahead at once, of one store
_ROOT_DIGITS = 64


class Store:
    """One node's files.

    Args:
        directory: made for the first download; whole files left there by an earlier store are held at once.
        descriptors: the open files, possibly shared with other stores.

    Raises:
        StoreError: the directory cannot be read.
    """

    def __init__(self, directory: Path, descriptors: Descriptors | None = None) -> None:
        self.directory = directory
        self.descriptors = descriptors or Descriptors()
        self._paths: dict[bytes, str] = {}
        self._sizes: dict[bytes, int] = {}
        self._ahead: dict[
            bytes, tuple[int, bytes]
        ] = {}  # by root, oldest first: what was read last, and from which offset
        try:
            for name in sorted(os.listdir(directory)):  # noqa: PTH208 - a thousand stores begin at once
                if len(name) == _ROOT_DIGITS:
                    self.keep(bytes.fromhex(name), directory / name)
        except FileNotFoundError:
            pass  # made for the first download
        except OSError as error:
            raise StoreError(f"cannot use {directory}: {error.strerror}") from error

    def adopt(self, manifest: Manifest, source: Path) -> None:
        """Serve a published file in place, read-only and without a copy.

        Raises:
            StoreError: the file is not there or has changed its size since the manifest was made.
        """
        try:
            size_bytes = source.stat().st_size
            if size_bytes != manifest.size_bytes:
                raise StoreError(f"{source} has {size_bytes} bytes, published were {manifest.size_bytes}")
            self.keep(manifest.root, source)
        except OSError as error:
            raise StoreError(f"cannot open {source}: {error.strerror}") from error

    def begin(self, manifest: Manifest) -> PartialFile:
        """Begin or resume a download; pieces already on disk are verified again by their hashes.

        Raises:
            LocalProtocolError: the file is held already.
            StoreError: the disk is full or gone.
        """
        if self.holds(manifest.root):
            raise LocalProtocolError(f"{manifest.root.hex()} is held already")
        return PartialFile(self, manifest)

    def keep(self, root: bytes, path: Path) -> None:
        """Hold the whole file at `path` under its root.

        Raises:
            OSError: it is not there.
        """
        self._sizes[root] = path.stat().st_size
        self._paths[root] = str(path)

    def discard(self, root: bytes) -> None:
        """Hold a file no more, and delete it if it lies in this store (a published file is left alone).

        Raises:
            LocalProtocolError: it is not held.
            StoreError: it cannot be deleted.
        """
        path, owned = self._path(root), self.owns(root)
        self.descriptors.close(path)
        self._ahead.pop(root, None)
        del self._paths[root], self._sizes[root]
        if owned:
            try:
                Path(path).unlink()
            except OSError as error:
                raise StoreError(f"cannot delete {path}: {error.strerror}") from error

    def holds(self, root: bytes) -> bool:
        """Say whether the whole file is held."""
        return root in self._paths

    def owns(self, root: bytes) -> bool:
        """Say whether a held file lies in this store; a published one lies where it was published from."""
        return Path(self._path(root)).parent == self.directory

    def size_bytes(self, root: bytes) -> int:
        """Return the size of a held file."""
        return self._sizes[root]

    def path(self, root: bytes) -> Path:
        """Return where a held file lies.

        Raises:
            LocalProtocolError: it is not held.
        """
        return Path(self._path(root))

    def read_block(self, root: bytes, piece: int, block: int) -> bytes:
        """Read one block of a held file; empty outside the file, short at its end.

        Raises:
            LocalProtocolError: the file is not held.
            StoreError: it cannot be read, or is shorter than when it was published.
        """
        offset = piece * PIECE_BYTES + block * BLOCK_BYTES
        start, data = self._ahead.get(root, (0, b""))
        skip = offset - start
        if not 0 <= skip < len(data):
            skip, data = 0, self._read_ahead(root, offset)
        return data[skip : skip + BLOCK_BYTES]

    def _read_ahead(self, root: bytes, offset: int) -> bytes:
        """Read from `offset` on: blocks are mostly asked in order. Not mapped: a file cut short would kill the process."""
        path = self._path(root)
        try:
            data = os.pread(self.descriptors.get(path, os.O_RDONLY), READ_AHEAD_BYTES, offset)
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}") from error
        if len(data) < READ_AHEAD_BYTES and offset + len(data) < self._sizes[root]:
            raise StoreError(f"{path} is shorter than the {self._sizes[root]} bytes it had")
        ahead = self._ahead
        ahead.pop(root, None)
        if len(ahead) >= MAX_AHEAD:
            del ahead[next(iter(ahead))]
        ahead[root] = (offset, data)
        return data

    def close(self) -> None:
        """Close this store's open files; what is on disk stays."""
        self._ahead.clear()
        for path in self._paths.values():
            self.descriptors.close(path)

    def _path(self, root: bytes) -> str:
        try:
            return self._paths[root]
        except KeyError:
            raise LocalProtocolError(f"{root.hex()} is not held") from None
