"""trio: the downloads of a node, from datagram to datagram: requests out, blocks in, receipts out. Synchronous throughout.

The deciding part is `node/swarm.py`; when a download begins and ends, `node/downloader.py`.

Source: huberman-wu, section 2; DESIGN section 4 (blocks, receipts).
"""

from __future__ import annotations

from collections.abc import Callable

from netem.clock import Clock, S
from netem.errors import BadFrame
from netem.events import Event
from netem.host import Endpoint
from node.acquaintances import Acquaintances
from node.download import Download, Source
from node.events import PieceAccepted, ServerBanned
from node.pace import NEVER_NS
from node.swarm import MAX_SERVERS, Accepted, Ask, Progress
from node.tracker_link import TrackerLink
from tracker import messages as m
from tracker.blocks import BLOCK_FLOW, BLOCK_SIZES, block_flow, flow_id, open_block

RECEIPT_NS = 5 * S  # how often every server that is owed anything gets a receipt
_CHECKED = Progress.CHECKED  # a name of this module, as a member of an enum takes long to look up


class Receiving:
    """Fetch blocks for one node.

    Args:
        endpoint: where requests leave.
        acquaintances: the node's sessions.
        node: this node's id.
        link: knows the newest board.
        emit: takes the events.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        acquaintances: Acquaintances,
        *,
        node: bytes,
        link: TrackerLink,
        emit: Callable[[Event], None],
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._acquaintances = acquaintances
        self._node = node
        self._link = link
        self._emit = emit
        self._flows: dict[bytes, tuple[Download, Source]] = {}
        self._downloads: dict[bytes, Download] = {}
        self._banned: set[bytes] = set()

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
                source = Source(server.node, session, (server.host, server.port), flow)
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
        if download.check_ns is not None and download.check_ns <= now_ns:
            download.check_ns = None  # this was that look
        self._look_at(download, min(download.swarm.next_check_ns(), download.receipts_due_ns))

    def _look_at(self, download: Download, when_ns: int) -> None:
        """Set the timer for the next look, unless one comes before or is overdue."""
        if download.check_ns is None or when_ns < download.check_ns:
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
        if swarm.hungry:
            if ask := swarm.requests_for(server, now_ns):
                self._request(download, ask)
            if swarm.nearer_ns != NEVER_NS:
                self._look_at(download, swarm.nearer_ns)
                swarm.nearer_ns = NEVER_NS

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
