"""The market's coordinator: who is busy, which receipts and closes count, what is settled when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.clock import S
from netem.errors import Rejection
from tracker.catalogue import Catalogue
from tracker.manifest import manifest_root
from tracker.market import DEPOSIT_NS, Market, OpenDownload
from tracker.messages import Close, Manifest, Receipt
from tracker.odds import LEAST_BUSY, ProvenRates
from tracker.repertoire import Terms

A, B, C, BUYER = (letter * 8 for letter in (b"a", b"b", b"c", b"x"))
D, E, F = (letter * 16 for letter in (b"d", b"e", b"f"))
SIZE_BYTES = 1_000
CLAIM = 1_000.0


class Rates(ProvenRates):
    """Proven rates that remember the last busy share of each server."""

    def __init__(self):
        super().__init__()
        self.busy = {}

    def set_busy(self, server, share, now_ns):
        super().set_busy(server, share, now_ns)
        self.busy[server] = share


def a_market(files=3, holders=(A, B)):
    """Return a market of files that all `holders` hold; C is admitted and holds nothing."""
    catalogue = Catalogue()
    for number in range(files):
        name, pieces = f"f{number}", [bytes(32)]
        catalogue.publish(Manifest(name, SIZE_BYTES, pieces, manifest_root(name, SIZE_BYTES, pieces)))
        for holder in holders:
            catalogue.hold(holder, number, holds=True)
    market = Market(catalogue, rates=Rates())
    for server in (A, B, C):
        market.rates.admit(server, claimed_bytes_per_s=CLAIM, now_ns=0)
    return market


def opened(market, download=D, *, index=0, now_ns=0, hold_ns=600 * S):
    entry = OpenDownload(download, index, BUYER, 500, SIZE_BYTES, now_ns + hold_ns, now_ns + hold_ns)
    market.open(entry, now_ns=now_ns)
    return entry


def receipt(server, nbytes, *, download=D, count=1):
    return Receipt(download, server, nbytes, count, bytes(32))


def reason(action, *args, **options):
    with pytest.raises(Rejection) as caught:
        action(*args, **options)
    return caught.value.reason


def state(market):
    return (
        {download: (entry.settles_ns, entry.close) for download, entry in market.downloads.items()},
        {download: market.receipts.totals(download) for download in market.downloads},
        dict(market.closes),
        dict(market.delivered_bytes),
        {server: market.rates.rate(server, 0) for server in (A, B, C)},
        dict(market.rates.busy),
    )


# -- who is busy ------------------------------------------------------------------------------------------------------


def test_a_server_is_busy_with_the_share_of_its_split_that_is_wanted():
    market = a_market()
    market.declare(A, {0: 0.5, 1: 0.3, 2: 0.2}, now_ns=0)
    market.declare(B, {2: 1.0}, now_ns=0)
    assert market.rates.busy == {A: 0, B: 0}
    opened(market, D, index=0)
    opened(market, E, index=1)
    opened(market, F, index=0)
    assert market.rates.busy == {A: 0.8, B: 0}
    market.close(Close(D, []), sender=BUYER, now_ns=0)
    assert market.rates.busy == {A: 0.8, B: 0}  # F still wants file 0
    market.close(Close(F, []), sender=BUYER, now_ns=0)
    assert market.rates.busy[A] == 0.3
    market.declare(A, {1: 1.0}, now_ns=0)
    assert market.rates.busy[A] == 1.0
    market.withdraw(A, now_ns=0)
    assert market.rates.busy[A] == 0
    assert A not in market.splits


def test_a_server_stands_for_its_share_of_the_proven_bandwidth_on_the_last_board():
    market = a_market(holders=(A, B))
    market.declare(A, {0: 1.0}, now_ns=0)
    market.declare(B, {0: 0.5, 1: 0.5}, now_ns=0)
    assert market.standing(A) == 0.0  # there was no board
    market.odds(floor=1e-3, now_ns=0)
    assert market.standing(A) + market.standing(B) == pytest.approx(1.0)
    assert market.standing(A) == market.rates.rate(A, 0) / (market.rates.rate(A, 0) + market.rates.rate(B, 0))
    assert sorted(market.bids()) == [
        (A, market.rates.rate(A, 0), {0: 1.0}),
        (B, market.rates.rate(B, 0), market.splits[B]),
    ]
    market.declare(B, {}, now_ns=0)
    market.odds(floor=1e-3, now_ns=0)
    assert (market.standing(A), market.standing(B)) == (1.0, 0.0)
    assert [node for node, _, _ in market.bids()] == [A]


def test_a_download_that_expires_ends_the_busy_time_of_its_servers_and_one_that_was_closed_did_so_before():
    market = a_market()
    market.declare(A, {0: 1.0}, now_ns=0)
    closed, expired = opened(market, D), opened(market, E)
    market.close(Close(D, []), sender=BUYER, now_ns=0)
    market.settled(closed, now_ns=0)
    assert market.rates.busy[A] == 1.0
    market.settled(expired, now_ns=0)
    assert market.rates.busy[A] == 0
    assert market.downloads == {}


def test_bids_on_files_that_are_not_held_are_void():
    market = a_market(files=2)
    market.catalogue.hold(B, 1, holds=False)
    market.declare(A, {0: 0.5, 1: 0.5, 7: 0.9}, now_ns=0)
    market.declare(B, {1: 1.0}, now_ns=0)
    market.declare(C, {0: 1.0}, now_ns=0)
    assert market.splits == {A: {0: 0.5, 1: 0.5}, B: {}, C: {}}
    shares, delivered = market.odds(floor=1e-6, now_ns=0)
    assert shares.tolist() == [0.5, 0.5]
    assert delivered.tolist() == [0, 0]


def test_receipts_move_the_odds_towards_where_the_faster_server_bids():
    market = a_market(files=2)
    market.declare(A, {0: 1.0}, now_ns=0)
    market.declare(B, {1: 1.0}, now_ns=0)
    opened(market)
    market.receipt(receipt(A, SIZE_BYTES), sender=BUYER, now_ns=0)
    shares, delivered = market.odds(floor=1e-6, now_ns=0)
    # Both start with the allowance of two seconds at their claim; A delivered one more second's worth.
    assert shares.tolist() == pytest.approx([3 / 5, 2 / 5])
    assert delivered.tolist() == [1, 0]
    assert LEAST_BUSY < 1


# -- receipts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "word", "sender"),
    [
        ("unknown-download", receipt(A, 10, download=E), BUYER),
        ("not-yours", receipt(A, 10), A),
        ("unknown-server", receipt(BUYER, 10), BUYER),
        ("bad-receipt", receipt(A, SIZE_BYTES + 1), BUYER),
        ("equivocation", receipt(A, 200, count=2), BUYER),
        ("equivocation", receipt(A, 100, count=3), BUYER),
    ],
)
def test_a_receipt_that_does_not_count_changes_nothing(why, word, sender):
    market = a_market()
    market.declare(A, {0: 1.0}, now_ns=0)
    opened(market)
    market.receipt(receipt(A, 100, count=2), sender=BUYER, now_ns=0)
    before = state(market)
    assert reason(market.receipt, word, sender=sender, now_ns=0) == why
    assert state(market) == before


def test_all_servers_together_are_receipted_for_no_more_than_the_file():
    market = a_market()
    opened(market)
    market.receipt(receipt(A, SIZE_BYTES - 10), sender=BUYER, now_ns=0)
    before = state(market)
    assert reason(market.receipt, receipt(B, 11), sender=BUYER, now_ns=0) == "bad-receipt"
    assert state(market) == before
    assert market.receipt(receipt(B, 10), sender=BUYER, now_ns=0) == 10


def test_receipts_are_cumulative_and_only_what_is_new_counts():
    market = a_market()
    opened(market, index=1)
    said = [(100, 1), (300, 3), (100, 1), (300, 3), (SIZE_BYTES, 4)]
    news = [market.receipt(receipt(A, n, count=count), sender=BUYER, now_ns=0) for n, count in said]
    assert news == [100, 200, 0, 0, 700]
    assert market.delivered_bytes == {1: SIZE_BYTES}


def test_bytes_from_a_server_that_may_not_serve_the_file_earn_nothing_whoever_vouches_for_them():
    market = a_market(holders=(A,))
    repertoire = market.catalogue.repertoire
    repertoire.add(0, Terms(provider=A, price_credits=5))
    entry = opened(market)
    before = state(market)
    assert reason(market.receipt, receipt(B, 10), sender=BUYER, now_ns=0) == "no-licence"
    assert reason(market.close, Close(D, [(A, 1), (B, 10)]), sender=BUYER, now_ns=0) == "no-licence"
    assert state(market) == before
    repertoire.grant(0, B)
    assert market.receipt(receipt(B, 10), sender=BUYER, now_ns=0) == 10
    assert market.receipt(receipt(A, 20), sender=BUYER, now_ns=0) == 20
    market.close(Close(D, [(A, 20), (B, 10)]), sender=BUYER, now_ns=0)
    assert [due.totals for due in market.due(entry.settles_ns)] == [{A: 20, B: 10}]


# -- closes and settlement --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "totals"),
    [
        ("bad-close", [(A, 600), (B, 401)]),
        ("bad-close", [(B, 1), (A, 1)]),
        ("bad-close", [(A, 1), (A, 1)]),
        ("unknown-server", [(A, 1), (BUYER, 1)]),
    ],
)
def test_a_close_that_cannot_be_is_refused_and_a_good_one_still_taken(why, totals):
    market = a_market()
    opened(market)
    before = state(market)
    assert reason(market.close, Close(D, totals), sender=BUYER, now_ns=0) == why
    assert state(market) == before
    assert market.close(Close(D, [(A, 600), (B, 400)]), sender=BUYER, now_ns=5) == 5 + DEPOSIT_NS


def test_only_the_downloader_closes_and_only_once_in_its_life():
    market = a_market()
    entry = opened(market)
    word, other = Close(D, [(A, 10)]), Close(D, [(A, 11)])
    assert reason(market.close, Close(E, []), sender=BUYER, now_ns=0) == "unknown-download"
    assert reason(market.close, word, sender=A, now_ns=0) == "not-yours"
    settles_ns = market.close(word, sender=BUYER, now_ns=0)
    assert market.close(word, sender=BUYER, now_ns=1 * S) == settles_ns
    for _ in range(2):
        assert reason(market.close, other, sender=BUYER, now_ns=0) == "equivocation"
        assert reason(market.close, other, sender=A, now_ns=0) == "not-yours"  # no evidence against A
        if D in market.downloads:
            market.settled(entry, now_ns=settles_ns)
    assert market.close(word, sender=BUYER, now_ns=9 * S) == 9 * S


def test_a_settlement_takes_the_larger_of_receipt_and_close_for_each_server():
    market = a_market()
    opened(market)
    market.receipt(receipt(A, 300), sender=BUYER, now_ns=0)
    market.close(Close(D, [(A, 200), (B, 50)]), sender=BUYER, now_ns=0)
    market.receipt(receipt(B, 70), sender=BUYER, now_ns=1 * S)  # in time
    (settlement,) = market.due(DEPOSIT_NS)
    assert settlement.totals == {A: 300, B: 70}
    assert settlement.how == "close"


def test_downloads_settle_in_the_order_of_their_times_and_never_early():
    market = a_market()
    assert market.next_settlement_ns() is None
    opened(market, F, hold_ns=50 * S)
    opened(market, E, hold_ns=50 * S)
    opened(market, D, hold_ns=90 * S)
    assert market.next_settlement_ns() == 50 * S
    market.close(Close(D, []), sender=BUYER, now_ns=10 * S)
    assert market.next_settlement_ns() == 10 * S + DEPOSIT_NS
    assert market.due(10 * S + DEPOSIT_NS - 1) == []
    assert [s.download.download for s in market.due(10 * S + DEPOSIT_NS)] == [D]
    assert [(s.download.download, s.how) for s in market.due(50 * S)] == [(D, "close"), (E, "expiry"), (F, "expiry")]
    for settlement in market.due(50 * S):
        market.settled(settlement.download, now_ns=50 * S)
    assert market.next_settlement_ns() is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from([D, E, F]), st.integers(0, 2)),
        st.tuples(st.just("close"), st.sampled_from([D, E, F]), st.integers(0, 2)),
        st.tuples(st.just("settle"), st.integers(0, 700), st.none()),
        st.tuples(
            st.just("declare"), st.sampled_from([A, B, C]), st.dictionaries(st.integers(0, 3), st.floats(0, 0.25))
        ),
        st.tuples(st.just("withdraw"), st.sampled_from([A, B, C]), st.none()),
        st.tuples(st.just("hold"), st.sampled_from([A, B, C]), st.integers(0, 2)),
    ),
    max_size=30,
)


@given(STEPS)
def test_whatever_happens_busy_is_the_wanted_part_of_the_split(steps):
    market, now_ns = a_market(), 0
    for act, subject, detail in steps:
        now_ns += S
        if act == "open" and subject not in market.downloads and subject not in market.closes:
            opened(market, subject, index=detail, now_ns=now_ns)
        elif act == "close" and subject in market.downloads and subject not in market.closes:
            market.close(Close(subject, []), sender=BUYER, now_ns=now_ns)
        elif act == "settle":
            for settlement in market.due(now_ns + subject * S):
                market.settled(settlement.download, now_ns=now_ns)
        elif act == "declare":
            market.declare(subject, detail, now_ns=now_ns)
        elif act == "withdraw":
            market.catalogue.drop(subject)
            market.withdraw(subject, now_ns=now_ns)
        elif act == "hold":
            held = detail in market.catalogue.files_of(subject)
            market.catalogue.hold(subject, detail, holds=not held)
            market.declare(subject, market.splits.get(subject, {}), now_ns=now_ns)
    wanted = {entry.index for entry in market.downloads.values() if entry.close is None}
    for server, busy in market.rates.busy.items():
        share = sum(share for index, share in market.splits.get(server, {}).items() if index in wanted)
        assert busy == pytest.approx(min(share, 1.0))
