"""trio: download, pay, and serve nothing: the free rider.

Source: huberman-wu, sections 1 and 4: the problem of Gnutella that paying for service is to solve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from netem.clock import Clock
from netem.events import Event
from netem.host import Host
from node.peer import PeerConfig
from node.roles.ordinary import Ordinary
from node.store import Store
from tracker.identity import Identity


class FreeRider(Ordinary):
    """Keep every download to itself: the tracker is told of none, nothing is bid, so nothing is earned.

    Invariant: it serves no file, and holds those in `_kept`.
    """

    name: ClassVar[str] = "free_rider"

    def __init__(
        self,
        host: Host,
        clock: Clock,
        identity: Identity,
        *,
        store: Store,
        config: PeerConfig,
        emit: Callable[[Event], None],
    ) -> None:
        super().__init__(host, clock, identity, store=store, config=config, emit=emit)
        self._kept: dict[int, bytes] = {}

    def holds(self, index: int) -> bool:
        """Tell whether this node has a file; it serves none."""
        return index in self._kept

    async def drop(self, index: int) -> None:
        """Delete a downloaded file; nobody needs to be told."""
        self._store.discard(self._kept.pop(index))
        if index in self._downloaded:  # else an earlier boot fetched it
            self._downloaded.remove(index)

    async def _hold(
        self,
        index: int,
        *,
        root: bytes,
        size_bytes: int,  # noqa: ARG002 - the role's signature
        fetched: bool = False,
    ) -> None:
        self._kept[index] = root
        if fetched:
            self._downloaded.append(index)
