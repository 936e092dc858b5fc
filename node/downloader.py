"""trio: the downloading side of a node: one download from open to close, over all the file's servers at once.

The deciding part is `node/swarm.py`; this module moves its requests, blocks and receipts. Blocks are handled synchronously.

Source: huberman-wu, section 2; DESIGN section 4 (blocks, receipts, settlement).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from netem.clock import Clock, S
from netem.errors import BadFrame, Rejection
from netem.events import Event
from netem.host import Endpoint
from netem.randomness import keyed_bytes
from netem.route import Address
from node.acquaintances import Acquaintances
from node.credit import Credit
from node.events import DownloadFinished, DownloadStarted, DownloadStopped, PieceAccepted, ServerBanned
from node.partial_file import PartialFile
from node.store import Store
from node.swarm import MAX_SERVERS, Accepted, Ask, Progress, Swarm
from node.tracker_link import TrackerLink
from tracker import messages as m
from tracker.manifest import check_manifest
from tracker.session import Session
from tracker.wire import BLOCK_FLOW, BLOCK_SIZES, block_flow, flow_id, open_block

RECEIPT_NS = 5 * S  # how often every server that is owed anything gets a receipt
REFRESH_S = 1.0  # how often the list of servers is asked for ...
SLOW_REFRESH_S = 5.0  # ... and when there are enough
LONELY_S = 60.0  # a download without any server for so long is given up
CLOSE_S = 15.0  # how long an ending download tries to reach the tracker
_CHECKED = Progress.CHECKED  # a name of this module, as a member of an enum takes long to look up


@dataclass(slots=True)
class _Source:
    """How to reach one server of a download."""

    server: bytes
    session: Session
    address: Address
    flow: bytes
    answered: bool = False


@dataclass(slots=True)
class Download:
    """A download under way."""

    download: bytes
    index: int
    manifest: m.Manifest
    swarm: Swarm
    file: PartialFile
    order: bytes
    credit: Credit
    sources: dict[bytes, _Source] = field(default_factory=dict)
    blocks: int = 0
    receipts_due_ns: int = 0
    check_ns: int | None = None
    over: trio.Event = field(default_factory=trio.Event)


class Downloader:
    """Fetch files for one node.

    Args:
        run_seed: keys the download ids and the order of pieces, with the node's id and epoch.
        emit: takes the events.
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
        self._endpoint = endpoint
        self._clock = clock
        self._acquaintances = acquaintances
        self._node = node
        self._epoch = epoch
        self._link = link
        self._store = store
        self._run_seed = run_seed
        self._emit = emit
        self._started = 0
        self._flows: dict[bytes, tuple[Download, _Source]] = {}
        self._downloads: dict[bytes, Download] = {}
        self._banned: set[bytes] = set()

    # -- one download, start to end -----------------------------------------------------------------------------------

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
                    await self._link.ask(_close_message(download), m.Closed)
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

    # -- servers ----------------------------------------------------------------------------------------------------

    def _use(self, download: Download, servers: list[m.Server]) -> None:
        """Start using new servers of a file, and stop using those that are gone."""
        epochs = {server.node: server.epoch for server in servers}
        for node, source in list(download.sources.items()):
            if node not in epochs or source.session.peer_epoch < epochs[node]:  # gone, or back as a later boot
                self._drop(download, node)
        room = MAX_SERVERS - len(download.sources)
        if room:
            known = {*download.sources, *self._banned}
            # Flow ids are as good as random, so different downloads use different servers of a file with many.
            ranked = sorted((flow_id(download.download, s.node), s) for s in servers if s.node not in known)
            for flow, server in ranked[:room]:
                session = self._acquaintances.of_server(server)
                source = _Source(server.node, session, (server.host, server.port), flow)
                download.sources[server.node] = source
                self._flows[flow] = (download, source)
                download.swarm.add_server(server.node)
        self._check(download)

    def _drop(self, download: Download, node: bytes) -> None:
        source = download.sources.pop(node)
        self._flows.pop(source.flow, None)
        download.swarm.remove_server(node)

    # -- requests ---------------------------------------------------------------------------------------------------

    def _check(self, download: Download) -> None:
        """Ask for whatever the swarm wants now, and set the timer for its next look."""
        if download.download not in self._downloads:
            return
        now_ns = self._clock.now_ns()
        for ask in download.swarm.requests(now_ns):
            self._request(download, ask)
        if now_ns >= download.receipts_due_ns:
            self._send_receipts(download, now_ns, final=True)
        when_ns = min(download.swarm.next_check_ns(), download.receipts_due_ns)
        if download.check_ns is None or when_ns < download.check_ns or download.check_ns <= now_ns:
            download.check_ns = when_ns
            self._clock.call_at(when_ns, self._on_timer, download, when_ns)

    def _on_timer(self, download: Download, set_for_ns: int) -> None:
        if download.check_ns == set_for_ns:  # else a nearer look took its place
            download.check_ns = None
            self._check(download)

    def _request(self, download: Download, ask: Ask) -> None:
        source = download.sources[ask.server]
        order = b"" if source.answered else download.order
        request = m.Request(download.download, download.index, ask.runs, order, ask.replaces)
        self._endpoint.send(source.session.seal(request, board=self._link.board), source.address)

    # -- datagrams --------------------------------------------------------------------------------------------------

    def on_block(self, datagram: bytes) -> None:
        """Take a block.

        Raises:
            BadFrame: it belongs to no download of ours, or its tag is bad (line noise); nothing changed.
        """
        known = self._flows.get(datagram[BLOCK_FLOW]) if len(datagram) in BLOCK_SIZES else None
        if known is None:
            block_flow(datagram)  # raises what is wrong with its form, if that is it
            raise BadFrame("unknown-flow")
        download, source = known
        piece, block, data = open_block(datagram, source.session.block_digest)
        source.answered = True
        server = source.server
        download.blocks += 1
        now_ns = self._clock.now_ns()
        swarm = download.swarm
        progress = swarm.on_block(server, piece, block, data=data, now_ns=now_ns)
        if progress >= _CHECKED:
            self._accept(download, swarm.take_finished(), now_ns)
            if swarm.done:
                download.over.set()
            else:
                self._check(download)
            return
        if progress:
            download.file.keep_block(piece, block, data=data, sender=server)
        if swarm.hungry and (ask := swarm.requests_for(server, now_ns)):
            self._request(download, ask)

    def on_queued(self, queued: m.Queued, *, sender: bytes) -> None:
        """Wait in a server's line."""
        download = self._downloads.get(queued.download)
        if download is not None and sender in download.sources:
            download.sources[sender].answered = True
            download.swarm.on_queued(sender, wait_ns=queued.wait_ns, now_ns=self._clock.now_ns())

    def on_refusal(self, refusal: m.Refusal, *, sender: bytes) -> None:
        """Show the order again to a server that has not seen it; stop using one that will not serve."""
        download = self._downloads.get(refusal.download)
        if download is None or sender not in download.sources:
            return
        if refusal.reason == "no-order":
            download.sources[sender].answered = False
        elif refusal.reason == "unpaid":
            self._repeat_receipt(download, sender)  # the last one may have been lost
        else:
            self._drop(download, sender)
            self._check(download)

    def _accept(self, download: Download, finished: list[Accepted], now_ns: int) -> None:
        for accepted in finished:
            download.file.write_piece(accepted.piece, accepted.data)
            for server, nbytes in accepted.sources:
                download.credit.accept(server, piece=accepted.piece, nbytes=nbytes)
            self._emit(
                PieceAccepted(self._node, download.download, download.index, accepted.piece, list(accepted.sources))
            )
        for server in [used for used in download.sources if used in download.swarm.banned]:
            self._banned.add(server)
            self._emit(ServerBanned(self._node, download.download, server, download.swarm.banned[server]))
            self._drop(download, server)
        self._send_receipts(download, now_ns, final=False)

    def _send_receipts(self, download: Download, now_ns: int, *, final: bool) -> None:
        """Sign for what was accepted: to servers owed a good deal, or (`final`) to all that are owed anything."""
        if final:
            download.receipts_due_ns = now_ns + RECEIPT_NS
        for server in download.credit.servers():
            source = download.sources.get(server)
            if source is not None and (receipt := download.credit.receipt(server, final=final)):
                self._endpoint.send(source.session.seal(receipt, board=self._link.board), source.address)

    def _repeat_receipt(self, download: Download, server: bytes) -> None:
        source, receipt = download.sources[server], download.credit.repeated(server)
        if receipt is not None:
            self._endpoint.send(source.session.seal(receipt, board=self._link.board), source.address)


def _close_message(download: Download) -> m.Close:
    return m.Close(download.download, [(s, nbytes) for s, nbytes in sorted(download.swarm.totals.items()) if nbytes])
