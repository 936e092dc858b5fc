"""Transactions of a small market, and what a ledger says to them."""

import pytest

from netem.errors import Rejection
from tracker.bank.movements import close, hold, licence, offer, publish, settle
from tracker.bank.transactions import HoldMemo, Posting, Transaction, user_account
from tracker.manifest import manifest_root
from tracker.messages import Manifest

NODES = [bytes([i]) * 8 for i in range(1, 5)]
USERS = [user_account(node) for node in NODES]
DOWNLOADS = [bytes([i]) * 16 for i in range(6)]
FEE = 1_000_000
ANN, BOB = USERS[:2]
SERVER = NODES[1]
D = DOWNLOADS[0]
KEY = bytes(32)


def post(ledger, transaction):
    """Apply one transaction; return whether it was new."""
    entry = ledger.admit(transaction)
    if entry is None:
        return False
    ledger.post(entry)
    return True


def state(ledger):
    sales = (dict(ledger.licences.offers), list(ledger.licences.sold))
    notes = (list(ledger.files), dict(ledger.closes), ledger.tariffs, sales)
    return (ledger.head, ledger.count, ledger.balances(), ledger.open_holds(), ledger.board, ledger.time_ns, notes)


def a_hold(download=D, account=ANN, *, fee=FEE, expires_ns=1000, board=1, time_ns=20):
    return hold(download, account, fee, terms=HoldMemo(expires_ns, 0, 10, bytes(32)), board=board, time_ns=time_ns)


def a_settlement(totals, download=D, account=ANN, *, fee=FEE, size_bytes=100, board=1, time_ns=30):
    return settle(
        download,
        downloader=account,
        fee_credits=fee,
        size_bytes=size_bytes,
        totals=totals,
        board=board,
        time_ns=time_ns,
    )


def refused(ledger, transaction, *reasons):
    before = state(ledger)
    with pytest.raises(Rejection) as caught:
        ledger.admit(transaction)
    assert caught.value.reason in reasons
    assert state(ledger) == before


def raw(memo, *postings, ref="x"):
    return Transaction(bytes(16), 1, 20, ref, tuple(Posting(*leg) for leg in postings), memo)


def a_file(index, number=0, **time):
    name = f"file {number}"
    manifest = Manifest(name, 5, [bytes(32)], manifest_root(name, 5, [bytes(32)]))
    return publish(manifest, index=index, **({"board": 1, "time_ns": 20} | time))


PRICE = FEE // 4
PROVIDER = NODES[3]


def an_offer(index=0, number=0, *, provider=PROVIDER, price=PRICE, board=1, time_ns=20):
    name = f"file {number}"
    manifest = Manifest(name, 5, [bytes(32)], manifest_root(name, 5, [bytes(32)]))
    return offer(manifest, index=index, provider=provider, price_credits=price, board=board, time_ns=time_ns)


def a_licence(index=0, account=ANN, *, provider=PROVIDER, price=PRICE, board=1, time_ns=25):
    to = user_account(provider)
    return licence(index, buyer=account, provider=to, price_credits=price, board=board, time_ns=time_ns)


def a_close(totals, download=D, time_ns=25):
    return close(download, totals, board=1, time_ns=time_ns)
