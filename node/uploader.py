"""trio: the serving side of a node: paced blocks out, receipts in. Synchronous throughout; timers do the pacing.

A server serves a download only on sight of the tracker's signed order. Blocks of file j leave at the reserved rate b_ij.

Source: huberman-wu, section 2 (the bid b_ij is bandwidth); DESIGN section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netem.clock import Clock
from netem.errors import BadFrame
from netem.host import Endpoint
from netem.route import Address
from node.acquaintances import Acquaintances
from node.serving import LONG_WAIT_NS, UploadQueues
from node.store import Store
from node.tabs import Tab, Tabs
from tracker import messages as m
from tracker.blocks import BLOCK_OVERHEAD_BYTES, encode_block, flow_id
from tracker.session import Session
from tracker.wire import Header

DEPOSIT_REPEATS = 2  # a receipt rides on this many heartbeats: one lost datagram must not hide it
RECEIPTS_PER_DEPOSIT = 4  # as many as fit a datagram
LATE_PLACE = 2**62  # in line behind every download of those who owe little


@dataclass(slots=True)
class _Customer:
    """A download that this node serves, and the newest receipt for it."""

    order: m.Order
    session: Session
    flow: bytes
    address: Address
    tab: Tab
    total_bytes: int = 0
    deposited_bytes: int = 0  # as of the last deposit ...
    banked_bytes: int = 0  # ... and of the one before, which the tracker has not refused
    pieces: int = 0  # as the newest receipt counts them
    void: bool = False  # the tracker takes no receipts for it
    receipt_frame: bytes = b""
    deposits_left: int = 0


class Uploader:
    """Serve blocks to whoever shows an order.

    Args:
        endpoint: where blocks leave.
        acquaintances: the node's sessions.
        node: this node's id.
        store: where the files are.
        roots: the root of each file that this node holds, by catalogue index; the caller keeps it up to date.
        on_customer: called with the file's index and the download once per new download (beliefs learn from it).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        acquaintances: Acquaintances,
        *,
        node: bytes,
        store: Store,
        roots: Mapping[int, bytes],
        on_customer: Callable[[int, bytes], None],
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._acquaintances = acquaintances
        self._node = node
        self._store = store
        self._roots = roots
        self._on_customer = on_customer
        self._customers: dict[bytes, _Customer] = {}
        self._to_deposit: dict[bytes, _Customer] = {}
        self._timers_ns: dict[int, int] = {}  # by file, when its pacing timer fires
        self.queues = UploadQueues(overhead_bytes=BLOCK_OVERHEAD_BYTES)
        self.tabs = Tabs()
        self.blocks_sent = 0

    def on_request(self, datagram: bytes, header: Header, *, source: Address, board: int) -> None:
        """Queue what a request asks for.

        Raises:
            BadFrame: forged, replayed, expired or malformed, or `flooded`: one too many; nothing changed.
        """
        request, order, session = self._acquaintances.open_request(datagram, header, board=board)
        now_ns = self._clock.now_ns()
        tab = self.tabs.of(header.sender, now_ns)
        if not tab.may_ask(now_ns):
            raise BadFrame("flooded")
        customer = self._customers.get(request.download)
        if customer is None:
            if order is None:
                self._refuse(session, request.download, "no-order", to=source, board=board)
                return
            customer = _Customer(order, session, flow_id(request.download, self._node), source, tab)
            self._customers[request.download] = customer
            self._on_customer(order.index, order.download)
        if customer.session is not session:
            raise BadFrame("misdirected", "a request for somebody else's download")
        customer.address = source
        if customer.void or now_ns >= customer.order.expires_ns:
            self._refuse(session, request.download, "expired", to=source, board=board)
        elif request.index != customer.order.index or request.index not in self._roots:
            self._refuse(session, request.download, "not-held", to=source, board=board)
        elif tab.exhausted:
            self._refuse(session, request.download, "unpaid", to=source, board=board)
        else:
            # Holds last equally long, so the order that expires first was opened first.
            place = customer.order.expires_ns + (LATE_PLACE if tab.late else 0)
            if request.replaces:
                self.queues.forget(request.index, request.download)
            self.queues.enqueue(request.index, request.download, request.runs, place=place, now_ns=now_ns)
            wait_ns = self.queues.wait_ns(request.index, request.download)
            if wait_ns > LONG_WAIT_NS:
                self._endpoint.send(session.seal(m.Queued(request.download, wait_ns), board=board), source)
            self._wake(request.index)

    def on_done(self, done: m.Done, *, sender: bytes) -> None:
        """Drop what is queued for a download that is over; raise `BadFrame` (`misdirected`) if it is not the sender's."""
        customer = self._customers.get(done.download)
        if customer is None or customer.order.downloader != sender:
            raise BadFrame("misdirected", "done with somebody else's download")
        self.queues.forget(customer.order.index, done.download)

    def on_receipt(self, receipt: m.Receipt, datagram: bytes, *, sender: bytes) -> None:
        """Keep a receipt, and its exact frame, that says more than the last one of its download.

        Raises:
            BadFrame: `misdirected`: about another server or somebody else's download; `bad-receipt`: for more than was
                sent; `equivocation`: it contradicts the last one, so the tracker would refuse it, and the downloader is served
                no more. Otherwise nothing changed.
        """
        customer = self._customers.get(receipt.download)
        if customer is None or receipt.server != self._node or customer.order.downloader != sender:
            raise BadFrame("misdirected", "a receipt that is not for us")
        more_bytes, more_pieces = receipt.total_bytes - customer.total_bytes, receipt.count - customer.pieces
        if more_bytes > customer.tab.unreceipted_bytes:  # over all downloads: one may go on with another's blocks
            raise BadFrame("bad-receipt", "for more than was sent")
        if (more_bytes > 0) != (more_pieces > 0):
            customer.tab.equivocated = True
            self.queues.forget(customer.order.index, receipt.download)
            raise BadFrame("equivocation", "bytes and pieces do not grow together")
        if more_bytes > 0:
            customer.tab.receipted(more_bytes)
            customer.total_bytes, customer.pieces = receipt.total_bytes, receipt.count
            customer.receipt_frame = datagram
            customer.deposits_left = DEPOSIT_REPEATS
            self._to_deposit[receipt.download] = customer

    def on_bounced(self, refusal: m.Refusal) -> None:
        """Serve a download no more whose receipts the tracker refuses: it is settled, or its fee is all spoken for.

        What was receipted since the last deposit that went well counts as unpaid. So orders that were closed beforehand
        bring nobody more than a heartbeat's worth, and that is owed.
        """
        customer = self._customers.get(refusal.download)
        if customer is not None:
            customer.void = True
            customer.tab.bounced(customer.total_bytes - customer.banked_bytes)
            customer.banked_bytes = customer.total_bytes
            self.queues.forget(customer.order.index, refusal.download)

    def deposits(self) -> list[m.Deposit]:
        """Return the receipts to forward with the next heartbeat, in datagrams."""
        frames = []
        for download, customer in list(self._to_deposit.items()):
            customer.deposits_left -= 1
            customer.banked_bytes, customer.deposited_bytes = customer.deposited_bytes, customer.total_bytes
            frames.append(customer.receipt_frame)
            if not customer.deposits_left:
                del self._to_deposit[download]
        size = RECEIPTS_PER_DEPOSIT
        return [m.Deposit(frames[i : i + size]) for i in range(0, len(frames), size)]

    def deposit_again(self) -> None:
        """Forward the newest receipt of every download once more: a tracker that was away has lost them."""
        for download, customer in self._customers.items():
            if customer.receipt_frame:
                customer.deposits_left = DEPOSIT_REPEATS
                self._to_deposit[download] = customer

    def sizes(self) -> dict[str, int]:
        """Return how many downloads, waiting blocks and tabs are kept, and how many customers are late in paying."""
        tabs = self.tabs.all()
        return {
            "customers": len(self._customers),
            "blocks": self.queues.pending,
            "tabs": len(tabs),
            "late": sum(tab.late for tab in tabs.values()),
        }

    def set_rates(self, bids_bytes_per_s: dict[int, float]) -> None:
        """Reserve a pacing rate b_ij for each file (bytes/s on the wire)."""
        self.queues.set_rates(bids_bytes_per_s)
        for index in bids_bytes_per_s:
            self._wake(index)

    def forget_expired(self) -> None:
        """Forget customers whose order has run out and whose receipt was forwarded."""
        now_ns = self._clock.now_ns()
        self.tabs.forgive(now_ns)
        for download, customer in list(self._customers.items()):
            # Holds last equally long: those behind came later and will run out later, give or take a late first request.
            if customer.order.expires_ns >= now_ns or customer.deposits_left:
                break
            del self._customers[download]
            self.queues.forget(customer.order.index, download)

    def _wake(self, index: int) -> None:
        next_ns = self.queues.next_ns(index)
        set_for_ns = self._timers_ns.get(index)
        if next_ns is not None and (set_for_ns is None or next_ns < set_for_ns):
            self._timers_ns[index] = next_ns
            self._tick(index, next_ns)

    def _tick(self, index: int, set_for_ns: int) -> None:
        """Send what is due of a file and set the timer for its next block, if there is one."""
        if self._timers_ns.get(index) != set_for_ns:
            return  # a higher rate brought a nearer one
        now_ns = self._clock.now_ns()
        while due := self.queues.due(index, now_ns):
            download, piece, block, next_ns = due
            customer = self._customers.get(download)
            root = self._roots.get(index)
            if customer is not None and root is not None:
                data = self._store.read_block(root, piece, block)
                datagram = encode_block(customer.session.block_digest, customer.flow, data, piece=piece, block=block)
                self._endpoint.send(datagram, customer.address)
                self.blocks_sent += 1
                if customer.tab.sent(len(data)):
                    self.queues.forget(index, download)
            if next_ns is None or next_ns > now_ns:
                break
        else:
            next_ns = self.queues.next_ns(index)
        if next_ns is None:
            self._timers_ns.pop(index, None)
        else:
            self._timers_ns[index] = next_ns
            self._clock.call_at(next_ns, self._tick, index, next_ns)

    def _refuse(self, session: Session, download: bytes, reason: str, *, to: Address, board: int) -> None:
        self._endpoint.send(session.seal(m.Refusal(download, reason), board=board), to)
