"""trio: the life of a node's downloads: opened, fetched from all the file's servers at once, settled.

Requests, blocks and receipts are `node/receiving.py`.

Source: huberman-wu, section 2; DESIGN section 4 (blocks, receipts, settlement).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import trio

from netem.clock import Clock
from netem.errors import Rejection
from netem.events import Event
from netem.host import Endpoint
from netem.randomness import keyed_bytes
from node.acquaintances import Acquaintances
from node.credit import Credit
from node.download import Download
from node.events import DownloadFinished, DownloadStarted, DownloadStopped
from node.receiving import RECEIPT_NS, Receiving
from node.store import Store
from node.swarm import MAX_SERVERS, Swarm
from node.tracker_link import TrackerLink
from tracker import messages as m
from tracker.manifest import check_manifest

REFRESH_S = 1.0  # how often the list of servers is asked for ...
SLOW_REFRESH_S = 5.0  # ... and when there are enough
LONELY_S = 60.0  # a download without any server for so long is given up
CLOSE_S = 15.0  # how long an ending download tries to reach the tracker


class Downloader(Receiving):
    """Fetch files for one node.

    Args:
        epoch: the node's boot counter.
        store: where files go.
        run_seed: keys the download ids and the order of pieces, with the node's id and epoch.
    """

    def __init__(  # noqa: PLR0913 - it ties together everything that a download touches
        self,
        endpoint: Endpoint,
        clock: Clock,
        acquaintances: Acquaintances,
        *,
        node: bytes,
        epoch: int,
        link: TrackerLink,
        store: Store,
        run_seed: int,
        emit: Callable[[Event], None],
    ) -> None:
        super().__init__(endpoint, clock, acquaintances, node=node, link=link, emit=emit)
        self._epoch = epoch
        self._store = store
        self._run_seed = run_seed
        self._started = 0

    async def fetch(self, index: int) -> m.Manifest:
        """Download a file into the store, pay for it, and return its manifest; at once, for nothing, if the store has it already.

        Cancelling closes the download for what was accepted so far: servers are paid for it, the rest is refunded.

        Raises:
            Rejection: the tracker will not open it (`insufficient` credit, `unknown-file`), its manifest is wrong
                (`bad-manifest`), or there was nobody to fetch from for a minute (`no-servers`); what was accepted is settled.
        """
        manifest = await self._manifest(index)
        if self._store.holds(manifest.root):  # an earlier boot fetched it
            return manifest
        download = await self._open(index, manifest)
        reason = "stopped"
        try:
            reason = await self._until_over(download)
        finally:
            self._end(download, reason)
            # The fee is held: whatever happens to this task, what was accepted must be settled; by expiry if our host is down.
            if self._endpoint.open:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S):
                    await self._link.ask(download.close(), m.Closed)
        if reason != "finished":
            raise Rejection(reason)
        return download.manifest

    async def _manifest(self, index: int) -> m.Manifest:
        manifest = await self._link.ask(m.GetManifest(index), m.Manifest)
        check_manifest(manifest)
        return manifest

    async def _open(self, index: int, manifest: m.Manifest) -> Download:
        self._started += 1
        name = keyed_bytes(self._run_seed, "download", self._node, self._epoch, self._started, size=16)
        # Cancelled half-way, the fee would be held with nobody to close the download: so this is seen through.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S):
            opened = await self._link.ask(m.Open(name, index), m.Opened)
            return self._begin(index, manifest, opened, name=name)
        raise Rejection("no-answer")

    def _begin(self, index: int, manifest: m.Manifest, opened: m.Opened, *, name: bytes) -> Download:
        file = self._store.begin(manifest)
        # Of what an earlier boot kept, a server is paid for its part if it still serves the file.
        here = {server.node for server in opened.servers}
        blocks = {
            piece: {block: (sender if sender in here else b"", data) for block, (sender, data) in kept.items()}
            for piece, kept in file.blocks.items()
        }
        swarm = Swarm(manifest, shuffle=int.from_bytes(name[:8], "little"), have=file.have, blocks=blocks)
        download = Download(name, index, manifest, swarm, file, opened.order, Credit(name))
        download.receipts_due_ns = self._clock.now_ns() + RECEIPT_NS
        self._downloads[name] = download
        self._emit(DownloadStarted(self._node, name, index, len(opened.servers)))
        self._use(download, opened.servers)
        return download

    async def _until_over(self, download: Download) -> str:
        lonely_since = trio.current_time()
        while not download.swarm.done:
            # With all the servers it may use it asks seldom, only to learn which of them are gone.
            with trio.move_on_after(REFRESH_S if len(download.sources) < MAX_SERVERS else SLOW_REFRESH_S):
                await download.over.wait()
                continue
            servers = await self._link.ask(m.GetServers(download.index), m.Servers)
            self._use(download, servers.servers)
            if download.sources:
                lonely_since = trio.current_time()
            elif trio.current_time() - lonely_since > LONELY_S:
                return "no-servers"
        return "finished"

    def _end(self, download: Download, reason: str) -> None:
        now_ns = self._clock.now_ns()
        self._send_receipts(download, now_ns, final=True)
        for server in download.swarm.awaited():
            source = download.sources[server]
            self._endpoint.send(source.session.seal(m.Done(download.download), board=self._link.board), source.address)
        del self._downloads[download.download]
        for source in download.sources.values():
            self._flows.pop(source.flow, None)
        if reason == "finished":
            path = download.file.finish()
            digest = hashlib.sha256(path.read_bytes()).digest()
            wasted = sum(download.swarm.ignored.values())
            self._emit(DownloadFinished(self._node, download.download, download.index, digest, download.blocks, wasted))
        else:
            if self._endpoint.open:  # else our host crashed, and nothing more happens on it
                download.file.flush()
            self._emit(DownloadStopped(self._node, download.download, download.index, reason, download.blocks))
