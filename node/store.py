"""trio: a node's files on disk, by blocking calls made inline: they read and write the page cache, and nothing waits.

Files live under the hash of their manifest, never under a name from the network. A file being downloaded ends in `.part`
until all of it is verified; one atomic rename makes it whole. What was written survives a kill of the process, not of the
machine: nothing is flushed to the platter, because a run's files can always be fetched again.

Source: DESIGN section 4.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from netem.errors import LocalProtocolError, SwarmbedError
from node.block_log import BlockLog, Blocks
from node.content import BLOCKS_PER_PIECE, piece_bytes
from node.descriptors import Descriptors
from tracker.messages import BLOCK_BYTES, PIECE_BYTES, Manifest

READ_AHEAD_BYTES = 8 * BLOCK_BYTES
MAX_AHEAD = 16  # files read ahead at once, of one store
_ROOT_DIGITS = 64
_PART = ".part"


class StoreError(SwarmbedError):
    """Report a disk that is full, gone or not ours to use; nothing half-written counts as whole."""


class PartialFile:
    """A file being downloaded.

    Attributes:
        have: indices of the pieces that are verified and written, in no particular order.
        blocks: by piece, what an earlier boot kept of others, with who sent it; not verified.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest
        self._path = store.directory / (manifest.root.hex() + _PART)
        self._log = BlockLog(self._path, size_bytes=manifest.size_bytes, descriptors=store.descriptors)
        self.have: set[int] = set()
        self.blocks: dict[int, Blocks] = {}
        try:
            store.directory.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise StoreError(f"cannot begin {self._path}: {error.strerror}") from error

    def _open(self) -> None:
        fresh = not self._path.exists()
        with self._path.open("ab") as file:
            file.truncate(self._manifest.size_bytes)
        if fresh:
            self._log.remove()
            return
        # A crash may have left a piece half written, so that only its hash says whether it is there.
        with self._path.open("rb") as file:
            for index, digest in enumerate(self._manifest.pieces):
                if hashlib.sha256(file.read(PIECE_BYTES)).digest() == digest:
                    self.have.add(index)
        self.blocks = self._log.read(finished=self.have)

    def keep_block(self, piece: int, block: int, *, data: bytes, sender: bytes) -> None:
        """Keep a block of an unfinished piece, so that a killed download need not fetch it again.

        A few wait to be written together: fewer than 1 % of the file's.

        Raises:
            StoreError: the disk is full or gone; no block is counted that is not written.
        """
        waiting = self._log.waiting
        waiting.append((piece * BLOCKS_PER_PIECE + block, sender, data))
        if len(waiting) >= self._log.most_waiting:
            self._write_blocks()

    def flush(self) -> None:
        """Write all blocks that wait, and close the log; raises `StoreError` as `keep_block` does."""
        self._write_blocks()
        self._log.close()

    def _write_blocks(self) -> None:
        try:
            self._log.flush()
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error

    def write_piece(self, index: int, data: bytes) -> None:
        """Write a piece that the caller has verified.

        Raises:
            LocalProtocolError: the data has not the piece's length; nothing was written.
            StoreError: the disk is full or gone; the piece does not count as held.
        """
        if len(data) != piece_bytes(self._manifest.size_bytes, index):
            raise LocalProtocolError(f"piece {index} of {len(data)} bytes")
        self._log.forget(index)
        try:
            with self._path.open("r+b", buffering=0) as file:
                file.seek(index * PIECE_BYTES)
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error
        self.have.add(index)

    def finish(self) -> Path:
        """Make the file whole by one atomic rename and return its path; the store holds it from now on.

        Raises:
            LocalProtocolError: pieces are missing; the file stays partial.
            StoreError: the rename failed; the file stays partial.
        """
        if len(self.have) != len(self._manifest.pieces):
            raise LocalProtocolError(f"{len(self._manifest.pieces) - len(self.have)} pieces are missing")
        whole = self._path.with_suffix("")
        try:
            self._path.replace(whole)
            self._store.keep(self._manifest.root, whole)
            self._log.remove()
        except OSError as error:
            raise StoreError(f"cannot finish {whole}: {error.strerror}") from error
        return whole


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
