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
from node.customers import DEPOSIT_REPEATS, Customer
from node.serving import LONG_WAIT_NS, FileQueue, Room
from node.store import Store
from node.tabs import Tabs
from tracker import messages as m
from tracker.blocks import BLOCK_OVERHEAD_BYTES, encode_block, flow_id
from tracker.session import Session
from tracker.wire import Header

RECEIPTS_PER_DEPOSIT = 4  # as many as fit a datagram
LATE_PLACE = 2**62  # in line behind every download of those who owe little


@dataclass(slots=True)
class _File:
    """A file that this node serves, under its root."""

    root: bytes
    queue: FileQueue[Customer]
    timer_ns: int | None = None  # when its pacing timer fires


class Uploader:
    """Serve blocks to whoever shows an order.

    Args:
        endpoint: where blocks leave.
        acquaintances: the node's sessions.
        node: this node's id.
        store: where the files are.
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
        on_customer: Callable[[int, bytes], None],
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._acquaintances = acquaintances
        self._node = node
        self._store = store
        self._on_customer = on_customer
        self._customers: dict[bytes, Customer] = {}
        self._to_deposit: dict[bytes, Customer] = {}
        self._files: dict[int, _File] = {}
        self._room = Room()
        self.tabs = Tabs()
        self.blocks_sent = 0

    def offer(self, index: int, *, root: bytes, size_bytes: int) -> None:
        """Serve a file from now on; at rate 0 until `set_rates` says otherwise. Idempotent."""
        if index not in self._files:
            queue = FileQueue[Customer](size_bytes, self._room, overhead_bytes=BLOCK_OVERHEAD_BYTES)
            self._files[index] = _File(root, queue)

    def withdraw(self, index: int) -> None:
        """Serve a file no more and drop what is queued of it. Idempotent."""
        file = self._files.pop(index, None)
        if file is not None:
            file.queue.close()

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
                self._say(m.Refusal(request.download, "no-order"), session, to=source, board=board)
                return
            flow = flow_id(order.download, self._node)
            customer = Customer(
                download=order.download, order=order, session=session, flow=flow, address=source, tab=tab
            )
            self._customers[request.download] = customer
            self._on_customer(order.index, order.download)
        if customer.session is not session:
            raise BadFrame("misdirected", "a request for somebody else's download")
        customer.address = source
        file = self._files.get(request.index)
        if customer.void or now_ns >= customer.order.expires_ns:
            self._say(m.Refusal(request.download, "expired"), session, to=source, board=board)
        elif file is None or request.index != customer.order.index:
            self._say(m.Refusal(request.download, "not-held"), session, to=source, board=board)
        elif tab.exhausted:
            self._say(m.Refusal(request.download, "unpaid"), session, to=source, board=board)
        else:
            self._enqueue(file, customer, request, board=board)

    def _enqueue(self, file: _File, customer: Customer, request: m.Request, *, board: int) -> None:
        queue = file.queue
        if request.replaces:
            queue.forget(customer)
        # Holds last equally long, so the order that expires first was opened first.
        place = customer.order.expires_ns + (LATE_PLACE if customer.tab.late else 0)
        queue.enqueue(customer, request.runs, place=place, now_ns=self._clock.now_ns())
        wait_ns = queue.wait_ns(customer)
        if wait_ns > LONG_WAIT_NS:
            self._say(m.Queued(request.download, wait_ns), customer.session, to=customer.address, board=board)
        self._wake(file)

    def on_done(self, done: m.Done, *, sender: bytes) -> None:
        """Drop what is queued for a download that is over; raise `BadFrame` (`misdirected`) if it is not the sender's."""
        customer = self._customers.get(done.download)
        if customer is None or customer.order.downloader != sender:
            raise BadFrame("misdirected", "done with somebody else's download")
        self._forget(customer)

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
        try:
            newer = customer.take(receipt, datagram)
        except BadFrame:
            if customer.tab.equivocated:
                self._forget(customer)
            raise
        if newer:
            self._to_deposit[receipt.download] = customer

    def on_bounced(self, refusal: m.Refusal) -> None:
        """Serve a download no more whose receipts the tracker refuses: it is settled, or its fee is all spoken for.

        What was receipted since the last deposit that went well counts as unpaid. So orders that were closed beforehand
        bring nobody more than a heartbeat's worth, and that is owed.
        """
        customer = self._customers.get(refusal.download)
        if customer is not None:
            customer.bounce()
            self._forget(customer)

    def deposits(self) -> list[m.Deposit]:
        """Return the receipts to forward with the next heartbeat, in datagrams."""
        frames = []
        for download, customer in list(self._to_deposit.items()):
            frames.append(customer.deposit())
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
        return {
            "customers": len(self._customers),
            "blocks": self._room.pending,
            "tabs": len(self.tabs.all()),
            "late": sum(tab.late for tab in self.tabs.all().values()),
        }

    def set_rates(self, bids_bytes_per_s: Mapping[int, float]) -> None:
        """Reserve a pacing rate b_ij for each file (bytes/s on the wire); one that is not named gets 0."""
        for index, file in self._files.items():
            file.queue.set_rate(bids_bytes_per_s.get(index, 0.0))
            self._wake(file)

    def forget_expired(self) -> None:
        """Forget customers whose order has run out and whose receipt was forwarded."""
        now_ns = self._clock.now_ns()
        self.tabs.forgive(now_ns)
        while self._customers:
            customer = next(iter(self._customers.values()))
            # Holds last equally long: those behind came later and will run out later, give or take a late first request.
            if customer.order.expires_ns >= now_ns or customer.deposits_left:
                break
            del self._customers[customer.download]
            self._forget(customer)

    def _forget(self, customer: Customer) -> None:
        file = self._files.get(customer.order.index)
        if file is not None:
            file.queue.forget(customer)

    def _wake(self, file: _File) -> None:
        next_ns = file.queue.next_ns()
        if next_ns is not None and (file.timer_ns is None or next_ns < file.timer_ns):
            file.timer_ns = next_ns
            self._tick(file, next_ns)

    def _tick(self, file: _File, set_for_ns: int) -> None:
        """Send what is due of a file and set the timer for its next block, if there is one."""
        if file.timer_ns != set_for_ns:
            return  # a higher rate brought a nearer one
        now_ns = self._clock.now_ns()
        queue = file.queue
        while due := queue.due(now_ns):
            customer, piece, block, next_ns = due
            data = self._store.read_block(file.root, piece, block)
            datagram = encode_block(customer.session.block_digest, customer.flow, data, piece=piece, block=block)
            self._endpoint.send(datagram, customer.address)
            self.blocks_sent += 1
            if customer.tab.sent(len(data)):
                queue.forget(customer)
            if next_ns is None or next_ns > now_ns:
                break
        else:
            next_ns = queue.next_ns()
        file.timer_ns = next_ns
        if next_ns is not None:
            self._clock.call_at(next_ns, self._tick, file, next_ns)

    def _say(self, message: m.Message, session: Session, *, to: Address, board: int) -> None:
        self._endpoint.send(session.seal(message, board=board), to)
