"""Licences in the ledger: a price, paid once for each server and file, to whoever sells it."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.errors import Rejection
from tests.tracker.transactions import (
    ANN,
    BOB,
    FEE,
    NODES,
    PRICE,
    PROVIDER,
    USERS,
    a_file,
    a_licence,
    an_offer,
    post,
    refused,
)
from tracker.bank.ledger import Ledger
from tracker.bank.movements import mint, tariff
from tracker.bank.transactions import MINT, user_account


def test_a_licence_moves_the_price_to_the_provider_once_for_each_server_and_file(ledger):
    post(ledger, an_offer())
    assert [file.name for file in ledger.files] == ["file 0"]
    assert post(ledger, a_licence())
    assert (ledger.balance(ANN), ledger.balance(user_account(PROVIDER))) == (2 * FEE - PRICE, PRICE)
    assert not post(ledger, a_licence(board=9, time_ns=90))  # asked for again, later
    refused(ledger, msgspec.structs.replace(a_licence(), id=bytes(16)), "id-reused")
    assert (ledger.balance(ANN), list(ledger.licences.sold)) == (2 * FEE - PRICE, [(0, ANN)])


def test_a_licence_is_refused_that_cannot_be_paid_or_is_not_for_sale_or_has_another_price(ledger):
    refused(ledger, a_licence(), "not-for-sale")
    post(ledger, a_file(0))
    refused(ledger, a_licence(), "not-for-sale")
    post(ledger, an_offer(1, 1))
    refused(ledger, a_licence(1, BOB), "insufficient")
    refused(ledger, a_licence(1, price=PRICE - 1), "wrong-price")
    refused(ledger, a_licence(1, provider=NODES[2]), "malformed")
    refused(ledger, a_licence(1, user_account(PROVIDER)), "malformed")
    refused(ledger, a_licence(1, MINT), "malformed")
    refused(ledger, msgspec.structs.replace(a_licence(1), ref="file/0/" + ANN), "malformed")
    refused(ledger, msgspec.structs.replace(a_licence(1), postings=a_licence(1).postings[:1]), "unbalanced")


def test_a_price_of_nothing_is_a_price(ledger):
    post(ledger, an_offer(price=0))
    assert post(ledger, a_licence(account=BOB, price=0))
    assert list(ledger.licences.sold) == [(0, BOB)]


def test_a_file_has_one_set_of_terms(ledger):
    post(ledger, an_offer())
    assert not post(ledger, an_offer(time_ns=30))
    refused(ledger, an_offer(price=PRICE + 1, time_ns=30), "other-terms")
    refused(ledger, an_offer(provider=NODES[2], time_ns=30), "other-terms")
    refused(ledger, a_file(0), "id-reused")
    post(ledger, a_file(1, 1))
    refused(ledger, an_offer(1, 1), "other-terms")


@settings(max_examples=60, deadline=None)
@given(
    prices=st.lists(st.integers(0, FEE), min_size=1, max_size=3),
    purchases=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(USERS[:3])), max_size=20),
    purse=st.integers(0, 2 * FEE),
)
def test_a_providers_revenue_is_its_price_times_its_sales_and_no_credit_is_made_or_lost(prices, purchases, purse):
    ledger = Ledger()
    post(ledger, tariff(FEE, board=0, time_ns=0))
    for account in USERS[:3] if purse else ():
        post(ledger, mint(account, purse, board=0, time_ns=0))
    for index, price in enumerate(prices):
        post(ledger, an_offer(index, index, price=price, time_ns=1))
    sold, spent = set(), dict.fromkeys(USERS, 0)
    for index, account in purchases:
        price = prices[index] if index < len(prices) else None
        try:
            new = post(ledger, a_licence(index, account, price=price or 0, time_ns=2))
        except Rejection:
            assert price is None or purse - spent[account] < price
            continue
        assert new is ((index, account) not in sold)
        sold.add((index, account))
        spent[account] += price if new else 0
    assert set(ledger.licences.sold) == sold
    assert ledger.balance(user_account(PROVIDER)) == sum(prices[index] for index, _ in sold)
    assert sum(ledger.balances().values()) == 0
