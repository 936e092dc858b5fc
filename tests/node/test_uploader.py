"""The serving side against a recorded endpoint and a clock moved by hand: pacing, receipts, legal noes."""

from __future__ import annotations

import pytest

from netem.clock import S, TimerHeap
from netem.errors import BadFrame
from node.acquaintances import Acquaintances
from node.customers import DEPOSIT_REPEATS
from node.tabs import MOST_OWED_BYTES, PAID_PER_RECEIPTED, REQUESTS_BURST
from node.uploader import RECEIPTS_PER_DEPOSIT, Uploader
from tracker import messages as m
from tracker.blocks import BLOCK_BYTE, BLOCK_OVERHEAD_BYTES, block_flow, flow_id, open_block
from tracker.identity import Identity
from tracker.messages import BLOCK_BYTES, PIECE_BYTES
from tracker.session import Session
from tracker.wire import MAX_DATAGRAM_BYTES, encode_signed, peek

TRACKER = Identity(bytes([7]) * 32, epoch=1)
SERVER = Identity(bytes([8]) * 32, epoch=1)
ROOT = bytes(32)
ADDRESS = ("127.0.0.9", 9)
WIRE_BYTES = BLOCK_BYTES + BLOCK_OVERHEAD_BYTES
FILE = 3


class HandClock:
    """A clock that stands still unless told."""

    virtual = True

    def __init__(self):
        self.timers, self.ns = TimerHeap(), 0

    def now_ns(self):
        return self.ns

    def call_at(self, when_ns, callback, *args):
        self.timers.push(when_ns, callback, args)

    def advance(self, seconds):
        until_ns = self.ns + round(seconds * S)
        while self.timers.heap and self.timers.heap[0][0] <= until_ns:
            self.ns = max(self.ns, self.timers.heap[0][0])
            self.timers.fire_until(self.ns, most=1)
        self.ns = until_ns


class Recorder:
    """An endpoint that keeps what is sent, with its time."""

    def __init__(self, clock):
        self.clock, self.sent = clock, []

    def send(self, data, target):
        assert len(data) <= MAX_DATAGRAM_BYTES
        self.sent.append((self.clock.ns, data, target))

    def blocks(self):
        return [data for _, data, _ in self.sent if data.startswith(BLOCK_BYTE)]


class Disk:
    """A store with one file of zeros."""

    def read_block(self, root, piece, block):
        assert root == ROOT
        return bytes(BLOCK_BYTES)


class Customer:
    """A downloader with an order."""

    def __init__(self, number=1, *, epoch=1):
        self.identity = Identity(bytes([number]) * 32, epoch=epoch)
        self.session = Session(
            self.identity,
            peer=SERVER.node,
            peer_sign_key=SERVER.sign_key,
            peer_exchange_key=SERVER.exchange_key,
            peer_epoch=1,
        )

    def order(self, download, *, expires_s=600, index=FILE):
        who = self.identity
        order = m.Order(download, index, who.node, who.sign_key, who.exchange_key, who.epoch, expires_s * S)
        return encode_signed(order, identity=TRACKER, to=m.EVERYBODY, seq=0, board=0)

    def request(self, download, runs, *, order=b"", index=FILE, replaces=False):
        return self.session.seal(m.Request(download, index, runs, order, replaces), board=0)

    def receipt(self, download, total_bytes, count=1):
        """Return a receipt and its frame."""
        receipt = m.Receipt(download, SERVER.node, total_bytes, count, bytes(32))
        return receipt, self.session.seal(receipt, board=0)


class Desk:
    """An uploader with its surroundings, serving one file of four pieces at `rate` blocks a second."""

    def __init__(self, *, blocks_per_s=100.0):
        self.clock = HandClock()
        self.endpoint = Recorder(self.clock)
        self.seen = []
        self.uploader = Uploader(
            self.endpoint,
            self.clock,
            Acquaintances(SERVER, tracker_key=TRACKER.sign_key),
            node=SERVER.node,
            store=Disk(),
            on_customer=lambda file, download: self.seen.append((file, download)),
        )
        self.uploader.offer(FILE, root=ROOT, size_bytes=4 * PIECE_BYTES)
        self.pace(blocks_per_s)

    def pace(self, blocks_per_s):
        self.uploader.set_rates({FILE: blocks_per_s * WIRE_BYTES})

    def ask(self, customer, download, runs, **options):
        frame = customer.request(download, runs, **options)
        self.uploader.on_request(frame, peek(frame), source=ADDRESS, board=0)

    def receive(self, customer, receipt):
        self.uploader.on_receipt(*receipt, sender=customer.identity.node)

    def words(self, customer):
        return [
            customer.session.open(data, board=0) for _, data, _ in self.endpoint.sent if not data.startswith(BLOCK_BYTE)
        ]


D, E = b"d" * 16, b"e" * 16


def test_blocks_leave_in_order_at_the_reserved_rate():
    desk, customer = Desk(blocks_per_s=100), Customer()
    desk.ask(customer, D, [(1, 0, 256)], order=customer.order(D))
    desk.clock.advance(1)
    blocks = desk.endpoint.blocks()
    assert 100 <= len(blocks) <= 102
    assert [open_block(data, customer.session.block_digest)[:2] for data in blocks] == [
        (1, n) for n in range(len(blocks))
    ]
    assert {target for _, _, target in desk.endpoint.sent} == {ADDRESS}
    assert desk.uploader.blocks_sent == len(blocks)


def test_a_raised_rate_counts_at_once_and_a_lowered_one_too():
    desk, customer = Desk(blocks_per_s=0.01), Customer()  # the next block would leave in 100 s
    desk.ask(customer, D, [(0, 0, 200)], order=customer.order(D))
    desk.clock.advance(1)
    assert len(desk.endpoint.blocks()) == 1
    desk.pace(50)
    desk.clock.advance(1)
    assert 50 <= len(desk.endpoint.blocks()) <= 53
    desk.pace(1)
    desk.clock.advance(10)
    assert 60 <= len(desk.endpoint.blocks()) <= 64


def test_a_rate_raised_while_nothing_is_asked_counts_for_what_is_asked_next():
    desk, customer = Desk(blocks_per_s=0.01), Customer()
    desk.ask(customer, D, [(0, 0, 2)], order=customer.order(D))
    desk.uploader.on_done(m.Done(D), sender=customer.identity.node)  # the timer for its second block is set, in 100 s
    desk.pace(50)
    desk.clock.advance(1)
    desk.ask(customer, D, [(0, 1, 4)])
    desk.clock.advance(1)
    assert len(desk.endpoint.blocks()) == 5


def test_changing_rates_often_sends_no_faster_and_leaves_no_timers_behind():
    desk, customer = Desk(blocks_per_s=20), Customer()
    desk.ask(customer, D, [(0, 0, 256)], order=customer.order(D))
    for number in range(200):
        desk.pace(40 if number % 2 else 20)
        desk.clock.advance(0.01)
    assert 40 <= len(desk.endpoint.blocks()) <= 82
    desk.clock.advance(1)
    assert len(desk.clock.timers.heap) == 1


def test_a_file_without_a_rate_is_served_once_it_has_one():
    desk, customer = Desk(blocks_per_s=0), Customer()
    desk.ask(customer, D, [(0, 0, 3)], order=customer.order(D))
    desk.clock.advance(5)
    assert desk.endpoint.blocks() == []
    desk.pace(100)
    desk.clock.advance(1)
    assert len(desk.endpoint.blocks()) == 3


def test_beliefs_hear_of_a_download_once_however_often_it_asks():
    desk, customer = Desk(), Customer()
    for _ in range(3):
        desk.ask(customer, D, [(0, 0, 1)], order=customer.order(D))
    desk.ask(customer, E, [(0, 0, 1)], order=customer.order(E))
    assert desk.seen == [(FILE, D), (FILE, E)]


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("no-order", {}),
        ("expired", {"order": Customer().order(E, expires_s=0)}),
        ("not-held", {"order": Customer().order(E, index=5), "index": 5}),
        ("not-held", {"order": Customer().order(E, index=5)}),
    ],
)
def test_a_legal_no_is_said_and_nothing_is_queued(reason, options):
    desk, customer = Desk(), Customer()
    desk.ask(customer, D, [(0, 0, 1)], order=customer.order(D))
    desk.clock.advance(1)
    desk.ask(customer, E, [(0, 0, 1)], **options)
    assert desk.words(customer) == [m.Refusal(E, reason)]
    assert desk.uploader.sizes()["blocks"] == 0


def test_whoever_waits_long_behind_older_downloads_is_told_how_long():
    desk, first, second = Desk(blocks_per_s=10), Customer(1), Customer(2)
    desk.ask(first, D, [(0, 0, 100)], order=first.order(D, expires_s=600))
    desk.ask(second, E, [(0, 0, 1)], order=second.order(E, expires_s=601))
    (queued,) = desk.words(second)
    assert queued.download == E
    assert queued.wait_ns == pytest.approx(9.9 * S, rel=0.02)


def test_done_and_a_request_that_replaces_drop_what_is_queued():
    desk, customer = Desk(blocks_per_s=10), Customer()
    desk.ask(customer, D, [(0, 0, 100)], order=customer.order(D))
    desk.ask(customer, D, [(1, 0, 5)], replaces=True)
    assert desk.uploader.sizes()["blocks"] <= 5
    desk.uploader.on_done(m.Done(D), sender=customer.identity.node)
    assert desk.uploader.sizes()["blocks"] == 0


def test_nobody_can_end_or_receipt_the_download_of_another():
    desk, customer, other = Desk(blocks_per_s=1), Customer(1), Customer(2)
    desk.ask(customer, D, [(0, 0, 9)], order=customer.order(D))
    desk.ask(other, E, [(0, 0, 9)], order=other.order(E))
    pending = desk.uploader.sizes()["blocks"]
    with pytest.raises(BadFrame, match="misdirected"):
        desk.uploader.on_done(m.Done(D), sender=other.identity.node)
    with pytest.raises(BadFrame, match="misdirected"):
        desk.receive(other, other.receipt(D, 1))
    with pytest.raises(BadFrame, match="misdirected"):
        desk.ask(other, D, [(0, 0, 9)])
    assert desk.uploader.sizes()["blocks"] == pending
    assert desk.uploader.deposits() == []


def test_each_newest_receipt_rides_on_two_heartbeats_and_older_ones_on_none():
    desk, customer = Desk(), Customer()
    desk.ask(customer, D, [(0, 0, 2)], order=customer.order(D))
    desk.clock.advance(1)
    newer, older = customer.receipt(D, 2_000, 2), customer.receipt(D, 1_000, 1)
    desk.receive(customer, newer)
    desk.receive(customer, older)
    beats = [desk.uploader.deposits() for _ in range(4)]
    assert beats == [[m.Deposit([newer[1]])]] * DEPOSIT_REPEATS + [[]] * 2


def test_many_receipts_are_spread_over_datagrams_that_fit():
    desk, customer = Desk(), Customer(epoch=2**62)  # the longest receipt
    for number in range(RECEIPTS_PER_DEPOSIT * 2 + 1):
        download = bytes([number]) * 16
        desk.ask(customer, download, [(0, 0, 1)], order=customer.order(download))
        desk.uploader.tabs.of(customer.identity.node, 0).sent_bytes = 2**60
        desk.receive(customer, customer.receipt(download, 2**53 - 1, 2**62))
    deposits = desk.uploader.deposits()
    assert [len(deposit.receipts) for deposit in deposits] == [RECEIPTS_PER_DEPOSIT] * 2 + [1]
    for deposit in deposits:
        assert len(customer.session.seal(deposit, board=2**62)) <= MAX_DATAGRAM_BYTES


def test_customers_whose_order_ran_out_are_forgotten_once_their_receipt_was_forwarded():
    desk, customer = Desk(blocks_per_s=1), Customer()
    desk.ask(customer, D, [(0, 0, 100)], order=customer.order(D, expires_s=5))
    desk.receive(customer, customer.receipt(D, 1_000))
    desk.clock.advance(6)
    desk.uploader.forget_expired()
    assert [len(desk.uploader.deposits()) for _ in range(3)] == [1, 1, 0]
    desk.uploader.forget_expired()
    assert desk.uploader.sizes()["blocks"] == 0
    desk.ask(customer, D, [(0, 0, 1)])
    assert desk.words(customer) == [m.Refusal(D, "no-order")]


def test_a_file_that_is_given_up_is_sent_no_more():
    desk, customer = Desk(blocks_per_s=10), Customer()
    desk.ask(customer, D, [(0, 0, 100)], order=customer.order(D))
    desk.uploader.withdraw(FILE)
    sent = len(desk.endpoint.sent)
    desk.clock.advance(3)
    assert len(desk.endpoint.sent) == sent


def test_who_signs_no_receipts_gets_a_bounded_number_of_bytes_and_then_a_refusal():
    desk, customer = Desk(blocks_per_s=10_000), Customer()
    for number in range(8):
        download = bytes([number]) * 16
        for piece in range(4):
            desk.ask(customer, download, [(piece, 0, 256)], order=customer.order(download))
            desk.clock.advance(1)
    assert len(desk.endpoint.blocks()) * BLOCK_BYTES == MOST_OWED_BYTES
    assert desk.words(customer)[-1].reason == "unpaid"


def test_who_signs_receipts_is_served_on():
    desk, customer = Desk(blocks_per_s=10_000), Customer()
    for number in range(1, 9):
        download = bytes([number]) * 16
        for piece in range(4):
            desk.ask(customer, download, [(piece, 0, 256)], order=customer.order(download))
            desk.clock.advance(1)
            desk.receive(customer, customer.receipt(download, (piece + 1) * 256 * BLOCK_BYTES, piece + 1))
    assert len(desk.endpoint.blocks()) == 8 * 4 * 256


def test_who_owes_a_lot_waits_behind_everybody_else():
    desk, debtor, customer = Desk(blocks_per_s=256), Customer(1), Customer(2)
    for piece in range(3):
        desk.ask(debtor, D, [(piece, 0, 256)], order=debtor.order(D, expires_s=500))
        desk.clock.advance(1)
    desk.ask(debtor, D, [(3, 0, 256)])
    desk.ask(customer, E, [(0, 0, 200)], order=customer.order(E, expires_s=600))
    before = len(desk.endpoint.sent)
    desk.clock.advance(0.5)
    served = {block_flow(data) for _, data, _ in desk.endpoint.sent[before:] if data.startswith(BLOCK_BYTE)}
    assert flow_id(E, SERVER.node) in served
    assert flow_id(D, SERVER.node) not in served


def test_requests_beyond_what_blocks_and_time_allow_are_dropped_as_a_flood():
    desk, customer = Desk(blocks_per_s=1e-6), Customer()
    desk.ask(customer, D, [(0, 0, 1)], order=customer.order(D))
    for _ in range(int(REQUESTS_BURST)):  # the first brought a block, which allows one more
        desk.ask(customer, D, [(0, 0, 1)])
    with pytest.raises(BadFrame, match="flooded"):
        desk.ask(customer, D, [(0, 0, 1)])
    desk.clock.advance(1)
    desk.ask(customer, D, [(0, 0, 1)])


def test_receipts_that_the_tracker_would_refuse_pay_for_nothing():
    desk, customer = Desk(), Customer()
    desk.ask(customer, D, [(0, 0, 4)], order=customer.order(D))
    desk.clock.advance(1)
    with pytest.raises(BadFrame, match="bad-receipt"):
        desk.receive(customer, customer.receipt(D, 2**40, 1))
    desk.receive(customer, customer.receipt(D, 1, 2**40))
    with pytest.raises(BadFrame, match="equivocation"):
        desk.receive(customer, customer.receipt(D, 4 * BLOCK_BYTES, 1))
    assert desk.uploader.tabs.all()[customer.identity.node].owed_bytes == 4 * BLOCK_BYTES - PAID_PER_RECEIPTED
    with pytest.raises(BadFrame, match="bad-receipt"):
        desk.receive(customer, customer.receipt(D, 2**40, 2**41))
    desk.ask(customer, E, [(0, 0, 1)], order=customer.order(E))
    assert desk.words(customer) == [m.Refusal(E, "unpaid")]
