"""trio: a file being downloaded, on disk: verified pieces in their places, blocks of the others in a log beside it.

It ends in `.part` until all of it is verified; one atomic rename makes it whole. Blocking calls made inline, as in `node/store.py`.

Source: DESIGN section 4.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from netem.errors import LocalProtocolError, SwarmbedError
from node.block_log import BlockLog, Blocks
from node.content import BLOCKS_PER_PIECE, piece_bytes
from node.descriptors import Descriptors
from tracker.messages import PIECE_BYTES, Manifest

_PART = ".part"


class StoreError(SwarmbedError):
    """Report a disk that is full, gone or not ours to use; nothing half-written counts as whole."""


class Keeper(Protocol):
    """What a partial file asks of the store that it is part of."""

    directory: Path
    descriptors: Descriptors

    def keep(self, root: bytes, path: Path) -> None:
        """Hold the whole file at `path` under its root; raise `OSError` when it is not there."""
        ...


class PartialFile:
    """A file being downloaded.

    Attributes:
        have: indices of the pieces that are verified and written, in no particular order.
        blocks: by piece, what an earlier boot kept of others, with who sent it; not verified.
    """

    def __init__(self, store: Keeper, manifest: Manifest) -> None:
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

        A few wait to be written together: at most 1 % of the file's.

        Raises:
            StoreError: the disk is full or gone; no block is counted that is not written.
        """
        try:
            self._log.keep(piece * BLOCKS_PER_PIECE + block, sender, data)
        except OSError as error:
            raise self._failed(error) from error

    def flush(self) -> None:
        """Write all blocks that wait, and close the log; raises `StoreError` as `keep_block` does."""
        try:
            self._log.flush()
        except OSError as error:
            raise self._failed(error) from error
        self._log.close()

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(f"cannot write {self._path}: {error.strerror}")

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
            raise self._failed(error) from error
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
