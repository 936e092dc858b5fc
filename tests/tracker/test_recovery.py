"""What a tracker takes up from the journal of its earlier boots."""

from __future__ import annotations

import pytest

from netem.clock import S
from netem.errors import LedgerError, Rejection
from tracker.bank.ledger import Ledger
from tracker.bank.movements import close, hold, licence, mint, offer, publish, settle, tariff
from tracker.bank.transactions import HoldMemo, user_account
from tracker.catalogue import Catalogue
from tracker.manifest import manifest_root
from tracker.market import Market
from tracker.messages import Close, Manifest
from tracker.recovery import first_board, recover

FEE = 100
BUYER, SERVER, STRANGER = (bytes([n]) * 8 for n in (1, 2, 3))
OPEN, CLOSED, SETTLED, EXPIRED = (bytes([n]) * 16 for n in range(4))
FILES = [Manifest(f"f{n}", 10, [bytes(32)], manifest_root(f"f{n}", 10, [bytes(32)])) for n in range(3)]
PROVIDER = bytes([4]) * 8
NOW_NS = 50 * S
RETURN_NS = 15 * S


@pytest.fixture
def ledger():
    """A ledger whose last transaction is at 10 s on board 7, with three downloads still open."""
    ledger, at = Ledger(), {"board": 7, "time_ns": 10 * S}
    account = user_account(BUYER)
    transactions = [
        tariff(FEE, **at),
        *(mint(user_account(node), 10 * FEE, **at) for node in (BUYER, SERVER)),
        *(publish(file, index=index, **at) for index, file in enumerate(FILES[:2])),
        offer(FILES[2], index=2, provider=PROVIDER, price_credits=3, **at),
        licence(2, buyer=user_account(SERVER), provider=user_account(PROVIDER), price_credits=3, **at),
        *(
            hold(download, account, FEE, terms=HoldMemo(expires_s * S, 1, 10, bytes(32)), **at)
            for download, expires_s in ((OPEN, 600), (CLOSED, 600), (SETTLED, 600), (EXPIRED, 20))
        ),
        *(close(download, {SERVER: 6}, **at) for download in (CLOSED, SETTLED)),
        settle(SETTLED, downloader=account, fee_credits=FEE, size_bytes=10, totals={SERVER: 6}, **at),
    ]
    for transaction in transactions:
        ledger.post(ledger.admit(transaction))
    return ledger


@pytest.fixture
def market(ledger):
    market = Market(Catalogue())
    recover(ledger, market, now_ns=NOW_NS, return_ns=RETURN_NS)
    return market


def test_files_keep_their_indices(market):
    assert [market.catalogue.manifest(index) for index in range(len(market.catalogue))] == FILES
    assert market.catalogue.reserve(FILES[1]) == 1


def test_who_bought_a_licence_may_serve_and_nobody_else(market):
    held = [market.catalogue.hold(node, 2, holds=True) for node in (PROVIDER, SERVER)]
    assert held == [True, True]
    with pytest.raises(Rejection, match="no-licence"):
        market.catalogue.hold(STRANGER, 2, holds=True)
    assert market.catalogue.servers(2) == [SERVER, PROVIDER]
    assert market.catalogue.hold(STRANGER, 1, holds=True)


def test_open_downloads_go_on_and_wait_for_those_who_come_back(market):
    assert {d: entry.settles_ns for d, entry in market.downloads.items()} == {
        OPEN: 600 * S,
        CLOSED: NOW_NS + RETURN_NS,
        EXPIRED: NOW_NS + RETURN_NS,
    }
    assert {(entry.index, entry.downloader, entry.size_bytes) for entry in market.downloads.values()} == {
        (1, BUYER, 10)
    }
    assert [s.totals for s in market.due(NOW_NS + RETURN_NS)] == [{SERVER: 6}, {}]


def test_a_close_counts_although_its_servers_are_not_back(market):
    with pytest.raises(Rejection, match="unknown-server"):
        market.close(Close(OPEN, [(STRANGER, 3)]), sender=BUYER, now_ns=NOW_NS)
    market.close(Close(OPEN, [(SERVER, 3)]), sender=BUYER, now_ns=NOW_NS)
    assert [(s.how, s.totals) for s in market.due(NOW_NS + 5 * S)] == [("close", {SERVER: 3})]


@pytest.mark.parametrize("download", [CLOSED, SETTLED])
def test_closes_are_remembered_whether_settled_or_not(market, download):
    assert market.close(Close(download, [(SERVER, 6)]), sender=BUYER, now_ns=NOW_NS) >= NOW_NS
    with pytest.raises(Rejection, match="equivocation"):
        market.close(Close(download, [(SERVER, 5)]), sender=BUYER, now_ns=NOW_NS)


@pytest.mark.parametrize(("since_s", "board"), [(0, 9), (0.9, 9), (1, 10), (100, 109)])
def test_no_board_number_is_used_twice(ledger, since_s, board):
    # The one at hand when the last transaction came may have been followed by one a moment later, and then by one a second.
    assert first_board(ledger, interval_ns=S, now_ns=10 * S + int(since_s * S)) == board


def test_an_empty_ledger_begins_at_board_0_and_one_from_the_future_is_refused(ledger):
    assert first_board(Ledger(), interval_ns=S, now_ns=NOW_NS) == 0
    with pytest.raises(LedgerError, match=r"2\.5 s in the future"):
        first_board(ledger, interval_ns=S, now_ns=int(7.5 * S))
