"""trio: download, pay, and serve nothing: the free rider.

Source: huberman-wu, sections 1 and 4: the problem of Gnutella that paying for service is to solve.
"""

from __future__ import annotations

from typing import ClassVar

from node.roles.ordinary import Ordinary


class FreeRider(Ordinary):
    """Keep every download to itself: the tracker is told of none, nothing is bid, so nothing is earned."""

    name: ClassVar[str] = "free_rider"

    def holds(self, index: int) -> bool:
        """Tell whether this node has a file; it serves none."""
        return self.has(index)

    def stored(self) -> dict[int, int]:
        """Return the sizes in bytes of the files that it keeps, by index, the oldest first."""
        return {index: self._store.size_bytes(root) for index, root in self._unserved.items()}

    async def _serve_kept(self, index: int, *, fetched: bool) -> None:
        """Do not: it stays kept."""
