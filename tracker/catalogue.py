"""Pure: the files there are, by index, and who holds each.

Source: DESIGN section 4 (a catalogue over TCP gives files indices).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from netem.errors import Rejection
from tracker.manifest import check_manifest
from tracker.messages import MAX_FILES, Entry, Manifest
from tracker.repertoire import Repertoire

ENTRIES_PER_ANSWER = 240
"""Files per answer: with the longest names, at 4 bytes a letter, they still fit a frame of 1 MiB."""


class Catalogue:
    """The files published so far and their holders.

    Attributes:
        repertoire: who may hold which of them.

    Invariant: an index, once given, means the same root for ever; only known files have holders, and only holders that may
    serve them. A file that is reserved and not yet published is unknown to everybody.
    """

    __slots__ = ("_files", "_holders", "_index", "_manifests", "_published", "repertoire")

    def __init__(self) -> None:
        self._manifests: list[Manifest] = []
        self._published = 0
        self._index: dict[bytes, int] = {}
        self._holders: list[set[bytes]] = []
        self._files: dict[bytes, set[int]] = {}
        self.repertoire = Repertoire()

    def __len__(self) -> int:
        return self._published

    def reserve(self, manifest: Manifest) -> int:
        """Return the file's index, the next free one for a new root; tell nobody of it yet.

        Raises:
            Rejection: `bad-manifest` (see `check_manifest`: a root stands for one content) or `catalogue-full`; nothing
                changed.
        """
        index = self._index.get(manifest.root)
        if index is not None and self._manifests[index] == manifest:
            return index
        check_manifest(manifest)
        if len(self._manifests) >= MAX_FILES:
            raise Rejection("catalogue-full", f"{MAX_FILES} files")
        index = len(self._manifests)
        self._manifests.append(manifest)
        self._holders.append(set())
        self._index[manifest.root] = index
        return index

    def publish(self, manifest: Manifest) -> int:
        """Reserve as `reserve` does, make the file and all reserved before it known, and return its index."""
        index = self.reserve(manifest)
        self._published = max(self._published, index + 1)
        return index

    def has(self, root: bytes) -> bool:
        """Say whether a root has an index, known or reserved."""
        return root in self._index

    def entries(self, first: int) -> list[Entry]:
        """Return the next files from index `first` on, at most `ENTRIES_PER_ANSWER`; none past the end."""
        part = self._manifests[first : min(first + ENTRIES_PER_ANSWER, self._published)]
        return [Entry(index, file.name, file.size_bytes, file.root) for index, file in enumerate(part, first)]

    def manifest(self, index: int) -> Manifest:
        """Return a file's manifest; raise `Rejection` (`unknown-file`) if there is none."""
        if not 0 <= index < self._published:
            raise Rejection("unknown-file", str(index))
        return self._manifests[index]

    def hold(self, node: bytes, index: int, *, holds: bool) -> bool:
        """Note whether a node holds a file; say whether that is news.

        Raises:
            Rejection: `unknown-file`, or `no-licence` (a provider's file that this node has no licence for); nothing changed.
        """
        self.manifest(index)
        holders = self._holders[index]
        if holds == (node in holders):
            return False
        if holds:
            self.repertoire.check(index, node)
            holders.add(node)
            self._files.setdefault(node, set()).add(index)
        else:
            holders.remove(node)
            self._files[node].remove(index)
        return True

    def drop(self, node: bytes) -> list[int]:
        """Note that a node holds nothing any more; return what it held, sorted."""
        files = sorted(self._files.pop(node, ()))
        for index in files:
            self._holders[index].remove(node)
        return files

    def servers(self, index: int) -> list[bytes]:
        """Return the nodes that hold a known file, sorted."""
        return sorted(self._holders[index])

    def files_of(self, node: bytes) -> AbstractSet[int]:
        """Return the files that a node holds, in no order and only to be looked at: they change with what it holds."""
        return self._files.get(node, frozenset())
