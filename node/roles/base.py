"""trio: what every role is: a peer with its own keys and the real wire, that differs in one thing.

Source: DESIGN section 2 (a peer role is a plug-in).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import trio

from netem.clock import Clock
from netem.errors import Rejection
from netem.events import Event
from netem.host import Endpoint, Host
from node.download import Download
from node.downloader import CLOSE_S, Downloader
from node.peer import Peer, PeerConfig
from node.store import Store
from tracker import messages as m
from tracker.identity import Identity


class Role(Peer, ABC):
    """A peer that joins and beats like any other, and does something of its own while told to.

    Attributes:
        name: what it is found by.
        symptom: how the others notice: a kind of frame that they drop, `banned`, `late` (it owes more than the honest ever do), or
            `overrated` (by the tracker).
        colludes: whether it has identities that vouch for each other, so that its proven rate is no evidence.
        serves: whether it must hold files to have any effect; whoever uses it publishes them through it.
        done: what it did, by kind, for showing that it was really done.
    """

    name: ClassVar[str]
    symptom: ClassVar[str]
    serves: ClassVar[bool] = False
    colludes: ClassVar[bool] = False

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
        self.done: Counter[str] = Counter()

    @abstractmethod
    async def act(self) -> None:
        """Do what the role is for, until cancelled; the peer has joined."""

    def _open_sides(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        super()._open_sides(endpoint)

    async def _files(self) -> list[m.Entry]:
        """Return the files worth an attack: at least half as large as the largest."""
        files = await self.catalogue()
        largest_bytes = max((file.size_bytes for file in files), default=0)
        return [file for file in files if 2 * file.size_bytes >= largest_bytes]

    async def _fetch_in_turn(self, patience_s: float) -> None:
        """Fetch the files one after the other for ever, each for so long at most; none is kept, so that it can be had again."""
        while True:
            for file in await self._files():
                self.done["downloads"] += 1
                with trio.move_on_after(patience_s), suppress(Rejection):
                    manifest = await self._downloader.fetch(file.index)
                    self._store.discard(manifest.root)
                    self.done["files had"] += 1

    async def _servers(self, index: int) -> list[m.Server]:
        """Return who serves a file besides this node."""
        return (await self._link.ask(m.GetServers(index), m.Servers)).servers

    async def _connect(self) -> trio.abc.Stream:
        """Open another connection to the tracker."""
        return await self._host.connect_tcp(self._config.tracker)


class UnpaidDownloader(Downloader):
    """A downloader that closes every download as if nothing had come; fetches also what the store has."""

    async def fetch(self, index: int) -> m.Manifest:
        """Download a file and claim to have received nothing (see `Downloader.fetch`)."""
        download = await self._open(index, await self._manifest(index))
        reason = "stopped"
        try:
            reason = await self._until_over(download)
        finally:
            self._end(download, reason)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S):
                await self._deny(download)
        return download.manifest

    async def _deny(self, download: Download) -> None:
        """Tell the tracker that nothing came."""
        await self._link.ask(m.Close(download.download, []), m.Closed)
