"""Payout sums, receipts and the receipt chain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import Rejection
from tracker.messages import Receipt
from tracker.settlement import EMPTY_ROOT, ReceiptBook, chain_root, split_fee

NODES = st.binary(min_size=8, max_size=8)
TOTALS = st.dictionaries(NODES, st.integers(0, 2**40), max_size=12)
A, B, C = (bytes([i]) * 8 for i in (1, 2, 3))
DOWNLOAD = bytes(16)


@given(st.integers(0, 10**12), st.integers(0, 2**42), TOTALS)
def test_payouts_and_refund_are_the_fee_and_never_negative(fee, size_bytes, totals):
    payouts, refund = split_fee(fee, size_bytes=size_bytes, totals=totals)
    assert sum(payouts.values()) + refund == fee
    assert min([refund, *payouts.values()]) >= 0
    assert list(payouts) == sorted(totals)


@given(st.integers(0, 10**12), st.integers(1, 2**42), TOTALS)
def test_each_amount_is_within_one_micro_credit_of_its_exact_share(fee, size_bytes, totals):
    payouts, refund = split_fee(fee, size_bytes=size_bytes, totals=totals)
    served = sum(totals.values())
    whole = max(size_bytes, served)
    for server, nbytes in totals.items():
        assert abs(payouts[server] * whole - fee * nbytes) < whole
    assert abs(refund * whole - fee * (whole - served)) < whole


@given(st.integers(0, 10**6), st.integers(0, 2**42), st.lists(st.tuples(NODES, st.integers(0, 2**40)), max_size=8))
def test_the_split_does_not_depend_on_the_order_of_servers(fee, size_bytes, pairs):
    totals = dict(pairs)
    backwards = dict(reversed(totals.items()))
    assert split_fee(fee, size_bytes=size_bytes, totals=totals) == split_fee(
        fee, size_bytes=size_bytes, totals=backwards
    )


@given(st.integers(0, 10**6), TOTALS, NODES, st.integers(1, 2**40))
def test_a_server_that_sent_more_is_not_paid_less(fee, totals, server, more_bytes):
    size_bytes = sum(totals.values()) + more_bytes
    raised = {**totals, server: totals.get(server, 0) + more_bytes}
    before, _ = split_fee(fee, size_bytes=size_bytes, totals=totals)
    after, refund = split_fee(fee, size_bytes=size_bytes, totals=raised)
    assert after[server] >= before.get(server, 0)
    assert refund == 0


def test_equal_remainders_go_to_the_smaller_ids_and_last_to_the_refund():
    assert split_fee(100, size_bytes=3, totals={C: 1, A: 1, B: 1}) == ({A: 34, B: 33, C: 33}, 0)
    assert split_fee(101, size_bytes=4, totals={B: 1, A: 1}) == ({A: 25, B: 25}, 51)
    assert split_fee(1, size_bytes=2, totals={A: 1}) == ({A: 1}, 0)


def test_the_unserved_part_goes_back():
    assert split_fee(1_000_000, size_bytes=1000, totals={A: 250, B: 500}) == ({A: 250_000, B: 500_000}, 250_000)
    assert split_fee(1_000_000, size_bytes=1000, totals={}) == ({}, 1_000_000)
    assert split_fee(1_000_000, size_bytes=0, totals={}) == ({}, 1_000_000)
    assert split_fee(7, size_bytes=0, totals={A: 0}) == ({A: 0}, 7)


def test_receipts_beyond_the_size_are_scaled_down():
    assert split_fee(900, size_bytes=10, totals={A: 20, B: 10}) == ({A: 600, B: 300}, 0)


def receipt(total_bytes, count, root=b"r", *, server=A, download=DOWNLOAD):
    return Receipt(download, server, total_bytes, count, root.ljust(32, b"."))


def test_only_newer_receipts_credit_and_late_ones_do_no_harm():
    book = ReceiptBook()
    assert book.add(receipt(100, 1)) == 100
    assert book.add(receipt(300, 3)) == 200
    assert book.add(receipt(200, 2)) == 0
    assert book.add(receipt(300, 3)) == 0
    assert book.totals(DOWNLOAD) == {A: 300}


@pytest.mark.parametrize(
    "second",
    [
        receipt(200, 2, b"other"),
        receipt(200, 3),
        receipt(300, 2),
        receipt(300, 1),
        receipt(100, 2),
        receipt(100, 3),
    ],
)
def test_a_receipt_that_contradicts_the_newest_is_equivocation_and_changes_nothing(second):
    book = ReceiptBook()
    book.add(receipt(200, 2))
    with pytest.raises(Rejection, match="equivocation"):
        book.add(second)
    assert book.totals(DOWNLOAD) == {A: 200}
    assert book.add(receipt(200, 2)) == 0


def test_a_receipt_for_nothing_credits_nothing_and_bytes_without_pieces_are_refused():
    book = ReceiptBook()
    assert book.add(Receipt(DOWNLOAD, A, 0, 0, EMPTY_ROOT)) == 0
    for contradiction in (receipt(0, 0), receipt(5, 0), receipt(0, 1)):
        with pytest.raises(Rejection, match="equivocation"):
            book.add(contradiction)


@given(st.permutations(range(1, 9)), st.integers(1, 8))
def test_receipts_lost_and_out_of_order_credit_what_the_newest_says(order, arrived):
    book = ReceiptBook()
    got = [book.add(receipt(100 * n, n, bytes([n]))) for n in order[:arrived]]
    assert sum(got) == 100 * max(order[:arrived])
    assert min(got) >= 0


def test_totals_are_by_server_in_order_and_a_forgotten_download_has_none():
    book = ReceiptBook()
    for server in (C, A, B):
        book.add(receipt(10, 1, server=server))
    book.add(receipt(10, 1, download=bytes([1]) * 16))
    assert list(book.totals(DOWNLOAD)) == [A, B, C]
    book.forget(DOWNLOAD)
    book.forget(DOWNLOAD)
    assert book.totals(DOWNLOAD) == {}
    assert book.totals(bytes([1]) * 16) == {A: 10}


def test_the_chain_root_tells_pieces_bytes_and_their_order_apart():
    first = chain_root(EMPTY_ROOT, 0, 1024)
    roots = {
        first,
        chain_root(EMPTY_ROOT, 1, 1024),
        chain_root(EMPTY_ROOT, 0, 1023),
        chain_root(first, 1, 7),
        chain_root(chain_root(EMPTY_ROOT, 1, 7), 0, 1024),
    }
    assert len(roots) == 5
    assert all(len(root) == 32 for root in roots)
    # Part of the wire format: both ends must compute the same.
    assert first.hex() == "2d9c2c8fa9ded92826edb29f96cb3a59fb11b4c25c40999b5cb883ca41b91fd7"
