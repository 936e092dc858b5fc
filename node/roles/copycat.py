"""trio: pass on what others serve, without a thought of one's own: the copycat.

Its files are those that servers before it chose to serve and that it came to fetch, and its upload is split over them alike, whatever
odds and beliefs say. So the chance that it serves a file is the chance that it has just downloaded it, as the paper reads its
imitators. Unlike a free rider it serves, and is paid for that.

Source: huberman-wu, section 3.4, eq. (11) and (12) with footnote 1 (a peer that is no seed).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar

from netem.clock import Clock
from netem.events import Event
from netem.host import Host
from node.peer import Peer, PeerConfig
from node.policies.fixed import Fixed
from node.roles.ordinary import Ordinary
from node.store import Store
from tracker.identity import Identity


class Copycat(Ordinary):
    """Serve copies only, all alike, whatever the policy of the others."""

    name: ClassVar[str] = "copycat"

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
        config = dataclasses.replace(config, policy=Fixed())
        super().__init__(host, clock, identity, store=store, config=config, emit=emit)

    async def _serve_kept(self, index: int, *, fetched: bool) -> None:
        await Peer._serve_kept(self, index, fetched=fetched)  # noqa: SLF001 - of the base
