"""trio: one peer: what a scenario asks of a node: publish, fetch, serve, buy and drop files.

Source: huberman-wu, sections 2 and 3; DESIGN section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import trio

from netem.clock import Clock
from netem.errors import LocalProtocolError, Rejection
from netem.events import Event
from netem.host import Endpoint, Host
from node.bidding import CONTROL_RESERVE
from node.content import make_manifest
from node.presence import PeerConfig, Presence
from node.shelving import Room
from node.store import Store
from node.trading import Restocked, Trading
from tracker import messages as m
from tracker.identity import Identity

__all__ = ["CONTROL_RESERVE", "Peer", "PeerConfig"]


class Peer(Presence):
    """One node of the market on one host, for one boot; see `Presence`.

    A role (`node/roles/`) is a subclass that differs in one of its sides, or does more beside it.

    Invariant: the files in `_unserved` lie in the store for this node alone.
    """

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
        self._unserved: dict[int, bytes] = {}
        self._fetching: dict[int, trio.CancelScope] = {}
        self._fetched = trio.lowlevel.ParkingLot()  # where the end of a crashed boot waits for its downloads

    def _open_sides(self, endpoint: Endpoint) -> None:
        super()._open_sides(endpoint)
        self._trading = Trading(self, self._config.storage, link=self._link, bidding=self._bidding, emit=self._emit)

    async def publish(self, name: str, source: Path) -> int:
        """Offer a file from disk under `name`; it is served in place. Return its catalogue index."""
        return (await self.publish_all([(name, source)]))[0]

    async def publish_all(self, files: Sequence[tuple[str, Path]]) -> list[int]:
        """Offer files as `publish` does, and bid only once all are there. Return their catalogue indices, in order."""
        indices = []
        self._publishing += 1
        try:
            for name, source in files:
                manifest = make_manifest(name, source)
                self._store.adopt(manifest, source)
                published = await self._link.ask(m.Publish(manifest), m.Published)
                self._offer(published.index, root=manifest.root, size_bytes=manifest.size_bytes)
                indices.append(published.index)
        finally:
            self._publishing -= 1
        self._rebid()
        return indices

    async def sell(self, name: str, source: Path, price_credits: int) -> int:
        """Offer a file as `publish` does, as its content provider: whoever else is to serve it must buy a licence at that price."""
        manifest = make_manifest(name, source)
        self._store.adopt(manifest, source)
        published = await self._link.ask(m.Sell(manifest, price_credits), m.Published)
        self._serve(published.index, root=manifest.root, size_bytes=manifest.size_bytes)
        return published.index

    async def buy(self, index: int) -> int:
        """Buy the licence to serve a file; see `Trading.buy`."""
        return await self._trading.buy(index)

    async def restock(self, room: Room) -> Restocked:
        """Make the best purchase for the store, by its storage policy; see `Trading.restock`."""
        return await self._trading.restock(room)

    async def fetch(self, index: int, *, serve: bool = True) -> m.Manifest:
        """Download a file, then serve it, or keep it for this node alone (until its next boot, if it may serve it).

        Raises:
            LocalProtocolError: it is held or being fetched; nothing was paid.
            Rejection, RemoteProtocolError: see `Downloader.fetch`; `no-licence`: it is paid and kept, but may not be served;
                `crashed`: this boot has ended.
        """
        if self.has(index) or index in self._fetching:
            raise LocalProtocolError(f"file {index} is held or being fetched")
        try:
            with trio.CancelScope() as self._fetching[index]:
                manifest = await self._downloader.fetch(index)
                self._unserved[index] = manifest.root
                if serve:
                    await self.serve(index)
                return manifest
        finally:
            del self._fetching[index]
            self._fetched.unpark_all()
        raise Rejection("crashed", "this boot of the node has ended")

    async def _stop_fetching(self) -> None:
        """End all downloads, so that the next boot finds their files closed."""
        for scope in self._fetching.values():
            scope.cancel()
        with trio.CancelScope(shield=True):
            while self._fetching:
                await self._fetched.park()

    async def serve(self, index: int) -> None:
        """Serve a file that was fetched and kept.

        Raises:
            Rejection: `no-licence`: it is a provider's, and this node has none; it is kept.
            LocalProtocolError: it is not kept.
        """
        if index not in self._unserved:
            raise LocalProtocolError(f"file {index} is not kept")
        await self._serve_kept(index, fetched=True)

    async def _serve_kept(self, index: int, *, fetched: bool) -> None:
        """Serve a file of the store; `fetched` just now, or before a restart."""
        root = self._unserved[index]
        await self._hold(index, root=root, size_bytes=self._store.size_bytes(root), fetched=fetched)
        del self._unserved[index]

    async def make_room(self, room: Room) -> list[int]:
        """Drop downloaded files until the others have room, by the storage policy; return which.

        Stores are finite, as the paper has it.
        """
        dropped: list[int] = []
        while surplus := self._trading.surplus(room, self.stored()):
            dropped.append(surplus[0])
            await self.drop(surplus[0])
        return dropped

    async def believe(self, prior: Sequence[float]) -> None:
        """Adopt another prior of the beliefs; bids follow with the next board. A later boot begins with the first prior again.

        Raises:
            ConfigError: see `Beliefs.adopt`.
        """
        self._config.beliefs.adopt(prior)

    def stored(self) -> dict[int, int]:
        """Return the sizes in bytes of the files that were downloaded and are served, by index, the oldest first."""
        return {index: self._store.size_bytes(self._roots[index]) for index in self._downloaded}

    async def catalogue(self) -> list[m.Entry]:
        """Return all files there are, by index."""
        known: list[m.Entry] = []
        while files := (await self._link.ask(m.GetCatalogue(len(known)), m.Catalogue)).files:
            known += files
        return known

    async def balance(self) -> m.Balance:
        """Return this node's balance at the bank."""
        return await self._link.ask(m.GetBalance(), m.Balance)

    @property
    def board(self) -> int:
        """Return the number of the newest board this node believes in."""
        return self._link.board

    @property
    def odds(self) -> np.ndarray:
        """Return π_j by file index as last heard, float64 (files,); empty before the first board."""
        return self._bidding.odds.shares

    def served_bytes(self) -> dict[bytes, int]:
        """Return what this node ever sent to each downloader, in bytes of blocks."""
        return {downloader: tab.sent_bytes for downloader, tab in self._uploader.tabs.all().items()}

    def sizes(self) -> dict[str, int]:
        """Return how many entries the tables have that others can make grow."""
        return {"sessions": len(self._acquaintances), **self._uploader.sizes()}

    def holds(self, index: int) -> bool:
        """Tell whether this node holds (and serves) a file."""
        return index in self._roots

    def has(self, index: int) -> bool:
        """Tell whether this node has a file, served or kept."""
        return index in self._roots or index in self._unserved

    def may_take(self, index: int) -> bool:
        """Tell whether this node could serve a file that it does not serve: it is neither being fetched nor its own."""
        return index not in self._roots and index not in self._fetching

    async def drop(self, index: int) -> None:
        """Delete a downloaded file, and stop serving it if it was; downloads it was serving go on elsewhere."""
        if index in self._unserved:
            self._store.discard(self._unserved.pop(index))
            return
        root = self._roots.pop(index)
        if index in self._downloaded:
            self._downloaded.remove(index)
        self._uploader.withdraw(index)
        self._rebid()
        self._store.discard(root)
        await self._link.ask(m.Hold(index, holds=False), m.Ok)

    def close(self) -> None:
        """Close the store's open files."""
        self._store.close()

    async def _hold(self, index: int, *, root: bytes, size_bytes: int, fetched: bool = False) -> None:
        await self._link.ask(m.Hold(index, holds=True), m.Ok)
        if fetched:
            self._downloaded.append(index)
        self._serve(index, root=root, size_bytes=size_bytes)

    def _serve(self, index: int, *, root: bytes, size_bytes: int) -> None:
        self._offer(index, root=root, size_bytes=size_bytes)
        self._rebid()

    def _offer(self, index: int, *, root: bytes, size_bytes: int) -> None:
        self._roots[index] = root
        self._uploader.offer(index, root=root, size_bytes=size_bytes)

    async def _offer_stored(self) -> None:
        """After a restart, serve the whole files that an earlier boot has left in the store."""
        for file in await self.catalogue():
            if self._store.holds(file.root):
                self._unserved[file.index] = file.root
                try:
                    await self._serve_kept(file.index, fetched=self._store.owns(file.root))
                except Rejection as no:
                    if no.reason != "no-licence":
                        raise
