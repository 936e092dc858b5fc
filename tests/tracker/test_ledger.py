"""The bank's rules: what may be posted, once, and what stays true whatever is tried."""

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.errors import Rejection
from tracker.bank.entries import GENESIS, OpenHold
from tracker.bank.invariants import INVARIANTS, Invariants
from tracker.bank.ledger import Ledger
from tracker.bank.transactions import (
    MINT,
    HoldMemo,
    MintMemo,
    Posting,
    Transaction,
    close,
    credits_text,
    decode,
    encode,
    hold,
    hold_account,
    licence,
    mint,
    offer,
    publish,
    settle,
    tariff,
    user_account,
)
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


@pytest.fixture
def ledger():
    """A ledger with a tariff of one credit and two credits for Ann."""
    ledger = Ledger()
    post(ledger, tariff(FEE, board=0, time_ns=10))
    post(ledger, mint(ANN, 2 * FEE, board=0, time_ns=10))
    return ledger


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


def test_a_hold_moves_the_fee_aside_and_its_settlement_releases_it_whole(ledger):
    post(ledger, a_hold())
    assert (ledger.balance(ANN), ledger.held(ANN), ledger.balance(hold_account(D))) == (FEE, FEE, FEE)
    assert ledger.open_hold(D) == OpenHold(D, ANN, FEE, HoldMemo(1000, 0, 10, KEY))
    post(ledger, a_settlement({SERVER: 75}))
    assert (ledger.balance(ANN), ledger.held(ANN), ledger.balance(hold_account(D))) == (1_250_000, 0, 0)
    assert ledger.balance(BOB) == 750_000
    assert ledger.open_hold(D) is None
    assert sum(ledger.balances().values()) == 0


def test_a_settlement_without_accepted_bytes_is_a_refund(ledger):
    post(ledger, a_hold())
    post(ledger, a_settlement({}))
    assert ledger.balance(ANN) == 2 * FEE


def test_a_server_may_be_the_downloader_itself(ledger):
    post(ledger, a_hold())
    post(ledger, a_settlement({NODES[0]: 50}))
    assert ledger.balance(ANN) == 2 * FEE


def test_a_fee_of_nothing_is_a_fee(ledger):
    post(ledger, tariff(0, board=1, time_ns=20))
    post(ledger, a_hold(fee=0))
    post(ledger, a_settlement({SERVER: 75}, fee=0))
    assert ledger.balances() == {MINT: -2 * FEE, ANN: 2 * FEE}


def test_a_retry_is_applied_once_whatever_the_time_of_the_retry(ledger):
    post(ledger, a_hold())
    before = state(ledger)
    assert not post(ledger, a_hold())
    assert not post(ledger, a_hold(board=7, time_ns=900))
    assert not post(ledger, mint(ANN, 2 * FEE, board=9, time_ns=999))
    assert state(ledger) == before


def test_an_id_that_did_something_else_is_refused(ledger):
    post(ledger, a_hold())
    refused(ledger, a_hold(expires_ns=2000), "id-reused")
    refused(ledger, mint(ANN, FEE, board=0, time_ns=10), "id-reused")
    refused(ledger, msgspec.structs.replace(a_hold(), id=bytes(16)), "id-reused")


def test_a_second_different_settlement_is_refused(ledger):
    post(ledger, a_hold())
    post(ledger, a_settlement({SERVER: 75}))
    assert not post(ledger, a_settlement({SERVER: 75}))
    refused(ledger, a_settlement({SERVER: 76}), "already-settled")
    refused(ledger, msgspec.structs.replace(a_settlement({SERVER: 76}), id=bytes(16)), "already-settled")
    refused(ledger, msgspec.structs.replace(a_hold(time_ns=40), id=bytes(16)), "id-reused")


def test_held_credits_cannot_be_spent_twice(ledger):
    post(ledger, a_hold(DOWNLOADS[0]))
    post(ledger, a_hold(DOWNLOADS[1]))
    refused(ledger, a_hold(DOWNLOADS[2]), "insufficient")
    refused(ledger, a_hold(DOWNLOADS[3], BOB), "insufficient")


def test_only_the_tariff_in_force_may_be_held_and_settled(ledger):
    refused(Ledger(), a_hold(), "no-tariff")
    refused(ledger, a_hold(fee=FEE - 1), "wrong-fee")
    post(ledger, a_hold())
    post(ledger, tariff(FEE // 2, board=2, time_ns=25))
    refused(ledger, a_hold(DOWNLOADS[1], board=2, time_ns=26), "wrong-fee")
    refused(ledger, a_settlement({SERVER: 1}, fee=FEE // 2, board=2), "wrong-fee")
    assert post(ledger, a_settlement({SERVER: 1}, board=2))
    assert post(ledger, a_hold(DOWNLOADS[1], fee=FEE // 2, board=2, time_ns=31))


def test_a_tariff_must_open_its_board(ledger):
    post(ledger, a_hold(board=3))
    refused(ledger, tariff(5, board=3, time_ns=50), "out-of-order")
    assert post(ledger, tariff(5, board=4, time_ns=50))


def test_boards_and_times_never_step_back(ledger):
    post(ledger, a_hold(board=3, time_ns=50))
    refused(ledger, a_hold(DOWNLOADS[1], board=2, time_ns=60), "out-of-order")
    refused(ledger, a_hold(DOWNLOADS[1], board=3, time_ns=49), "out-of-order")


def test_a_hold_that_has_expired_already_is_refused(ledger):
    refused(ledger, a_hold(expires_ns=20, time_ns=20), "expired")


def test_unknown_downloads_do_not_settle(ledger):
    refused(ledger, a_settlement({SERVER: 1}), "unknown-hold")


def test_postings_that_disagree_with_the_accepted_bytes_are_refused(ledger):
    post(ledger, a_hold())
    honest = a_settlement({SERVER: 75})
    legs = honest.postings
    stolen = (legs[0], Posting(USERS[2], legs[1].amount_credits), legs[2])
    skimmed = (legs[0], Posting(BOB, legs[1].amount_credits + 1), Posting(ANN, legs[2].amount_credits - 1))
    for postings in (stolen, skimmed, legs[::-1], ()):
        refused(ledger, msgspec.structs.replace(honest, postings=postings), "malformed")
    refused(ledger, msgspec.structs.replace(honest, postings=legs[:2]), "unbalanced")
    refused(ledger, a_settlement({SERVER: 75}, account=BOB), "malformed")


def raw(memo, *postings, ref="x"):
    return Transaction(bytes(16), 1, 20, ref, tuple(Posting(*leg) for leg in postings), memo)


@pytest.mark.parametrize(
    "transaction",
    [
        raw(MintMemo("x"), (BOB, -5), (ANN, 5)),
        raw(MintMemo("x"), (MINT, -5), (hold_account(D), 5)),
        raw(MintMemo("x"), (MINT, 5), (ANN, -5)),
        raw(MintMemo("x"), (MINT, 0), (ANN, 0)),
        raw(MintMemo("x"), (MINT, -5), (ANN, 4), (BOB, 1)),
        raw(HoldMemo(99, 0, 10, KEY), (MINT, -FEE), (hold_account(D), FEE), ref=D.hex()),
        raw(HoldMemo(99, 0, 10, KEY), (ANN, -FEE), (hold_account(DOWNLOADS[1]), FEE), ref=D.hex()),
        raw(HoldMemo(99, 0, 10, KEY), (ANN, -FEE), (BOB, FEE), ref=D.hex()),
        raw(HoldMemo(99, 0, 10, KEY), ref=D.hex()),
        raw(HoldMemo(99, 0, 10, KEY), (ANN, -FEE), ("hold/no hex", FEE), ref="no hex"),
        msgspec.structs.replace(tariff(3, board=1, time_ns=20), postings=(Posting(ANN, 0),)),
        msgspec.structs.replace(close(D, {}, board=1, time_ns=20), postings=(Posting(ANN, 0),)),
    ],
)
def test_postings_that_a_kind_does_not_have_are_refused(ledger, transaction):
    refused(ledger, transaction, "malformed")


def test_credits_come_from_nowhere_but_the_mint(ledger):
    refused(ledger, raw(MintMemo("x"), (MINT, -5), (ANN, 6)), "unbalanced")


def a_file(index, number=0, **time):
    name = f"file {number}"
    manifest = Manifest(name, 5, [bytes(32)], manifest_root(name, 5, [bytes(32)]))
    return publish(manifest, index=index, **({"board": 1, "time_ns": 20} | time))


def test_files_get_their_indices_in_order_and_once(ledger):
    assert post(ledger, a_file(0))
    assert not post(ledger, a_file(0, time_ns=25))
    refused(ledger, a_file(1), "id-reused")
    refused(ledger, a_file(0, 1), "malformed")
    refused(ledger, a_file(2, 1), "malformed")
    assert post(ledger, a_file(1, 1))
    assert [file.name for file in ledger.files] == ["file 0", "file 1"]


PRICE = FEE // 4
PROVIDER = NODES[3]


def an_offer(index=0, number=0, *, provider=PROVIDER, price=PRICE, board=1, time_ns=20):
    name = f"file {number}"
    manifest = Manifest(name, 5, [bytes(32)], manifest_root(name, 5, [bytes(32)]))
    return offer(manifest, index=index, provider=provider, price_credits=price, board=board, time_ns=time_ns)


def a_licence(index=0, account=ANN, *, provider=PROVIDER, price=PRICE, board=1, time_ns=25):
    to = user_account(provider)
    return licence(index, buyer=account, provider=to, price_credits=price, board=board, time_ns=time_ns)


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


def a_close(totals, download=D, time_ns=25):
    return close(download, totals, board=1, time_ns=time_ns)


def test_a_close_is_said_once_and_its_settlement_pays_nobody_less(ledger):
    refused(ledger, a_close({}), "unknown-hold")
    post(ledger, a_hold())
    assert post(ledger, a_close({SERVER: 40}))
    assert not post(ledger, a_close({SERVER: 40}, time_ns=29))
    refused(ledger, a_close({SERVER: 41}), "equivocation")
    assert ledger.closes[D.hex()].totals == ((SERVER, 40),)
    assert ledger.balance(ANN) == FEE
    refused(ledger, a_settlement({SERVER: 39}), "below-close")
    post(ledger, a_settlement({SERVER: 41}))
    refused(ledger, a_close({}), "equivocation")
    assert not post(ledger, a_close({SERVER: 40}, time_ns=60))


def test_nothing_is_closed_after_it_settled(ledger):
    post(ledger, a_hold())
    post(ledger, a_settlement({}))
    refused(ledger, a_close({SERVER: 40}, time_ns=40), "already-settled")


def test_each_boot_is_counted_by_its_tariff(ledger):
    assert ledger.tariffs == 1
    post(ledger, tariff(FEE, board=1, time_ns=20))
    assert ledger.tariffs == 2


def test_open_holds_come_in_the_order_of_their_expiry(ledger):
    post(ledger, a_hold(DOWNLOADS[0], expires_ns=900))
    post(ledger, a_hold(DOWNLOADS[1], expires_ns=500))
    assert [held.download for held in ledger.open_holds()] == [DOWNLOADS[1], DOWNLOADS[0]]


def test_a_fork_runs_ahead_without_touching_the_original(ledger):
    post(ledger, a_hold())
    before = state(ledger)
    ahead = ledger.fork()
    assert state(ahead) == before
    post(ahead, a_settlement({SERVER: 10}))
    post(ahead, a_hold(DOWNLOADS[1], time_ns=40))
    assert state(ledger) == before
    assert ledger.held(ANN) == FEE
    assert post(ledger, a_settlement({SERVER: 20}))


def test_the_head_covers_every_transaction_and_their_order():
    def head(*transactions):
        ledger = Ledger()
        for transaction in transactions:
            post(ledger, transaction)
        return ledger.head

    fee = tariff(FEE, board=0, time_ns=1)
    ann, bob = (mint(account, 5, board=0, time_ns=1) for account in (ANN, BOB))
    later = mint(ANN, 5, board=0, time_ns=2)
    assert head() == GENESIS
    assert len({head(), head(fee), head(fee, ann, bob), head(fee, bob, ann), head(fee, bob, later)}) == 5


def test_canonical_bytes_are_what_they_were():
    transaction = a_settlement({SERVER: 75})
    assert decode(encode(transaction)) == transaction
    # Journals of earlier versions must stay readable: `msgpack` reads the same bytes independently.
    assert msgpack.unpackb(encode(transaction)) == [
        bytes.fromhex("9aa950f906be96a28633024e9c882eaa"),
        1,
        30,
        D.hex(),
        [[hold_account(D), -FEE], [BOB, 750_000], [ANN, 250_000]],
        ["settle", FEE, 100, [[SERVER, 75]]],
    ]


def test_credits_are_written_with_six_decimals():
    assert [credits_text(n) for n in (0, 1, -1, -2_500_000)] == ["0.000000", "0.000001", "-0.000001", "-2.500000"]


# -- whatever is tried ------------------------------------------------------------------------------------------------

TOTALS = st.dictionaries(st.sampled_from(NODES), st.integers(0, 200), max_size=4)
FEES = st.sampled_from([0, 1, 7, FEE])
OPERATIONS = st.one_of(
    st.tuples(st.just("tariff"), FEES),
    st.tuples(st.just("mint"), st.sampled_from(USERS), st.integers(1, 3), st.integers(0, 2 * FEE)),
    st.tuples(st.just("hold"), st.sampled_from(DOWNLOADS), st.sampled_from(USERS), FEES),
    st.tuples(st.just("settle"), st.sampled_from(DOWNLOADS), st.sampled_from(USERS), FEES, TOTALS, st.integers(0, 300)),
    st.tuples(st.just("close"), st.sampled_from(DOWNLOADS), TOTALS),
    st.tuples(st.just("file"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("offer"), st.integers(0, 3), st.integers(0, 3), st.sampled_from(NODES), FEES),
    st.tuples(st.just("licence"), st.integers(0, 3), st.sampled_from(USERS), st.sampled_from(NODES), FEES),
    st.tuples(st.just("retry"), st.integers(0, 50)),
)


def build(operation, *, board, time_ns, done):  # noqa: PLR0911 - one return per kind
    match operation:
        case ("tariff", fee):
            return tariff(fee, board=board, time_ns=time_ns)
        case ("mint", account, reason, amount):
            return mint(account, amount, reason=f"reason-{reason}", board=board, time_ns=time_ns)
        case ("hold", download, account, fee):
            return hold(download, account, fee, terms=HoldMemo(10**6, 0, 10, bytes(32)), board=board, time_ns=time_ns)
        case ("settle", download, account, fee, totals, size_bytes):
            return a_settlement(totals, download, account, fee=fee, size_bytes=size_bytes, board=board, time_ns=time_ns)
        case ("close", download, totals):
            return close(download, totals, board=board, time_ns=time_ns)
        case ("file", index, number):
            return a_file(index, number, board=board, time_ns=time_ns)
        case ("offer", index, number, provider, price):
            return an_offer(index, number, provider=provider, price=price, board=board, time_ns=time_ns)
        case ("licence", index, account, provider, price):
            return a_licence(index, account, provider=provider, price=price, board=board, time_ns=time_ns)
        case ("retry", place):
            return done[place % len(done)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(OPERATIONS, st.integers(0, 1), st.integers(0, 2)), max_size=60))
def test_whatever_is_tried_the_invariants_hold_and_a_replay_gives_the_same_state(steps):
    ledger, fold, replayed = Ledger(), Invariants(), Ledger()
    done = [tariff(FEE, board=0, time_ns=0)]
    board = time_ns = 0
    for operation, boards, nanoseconds in [(("retry", 0), 0, 0), *steps]:
        board, time_ns = board + boards, time_ns + nanoseconds
        transaction = build(operation, board=board, time_ns=time_ns, done=done)
        before = state(ledger)
        try:
            is_new = post(ledger, transaction)
        except Rejection:
            is_new = False
        if not is_new:
            assert state(ledger) == before
            continue
        done.append(transaction)
        fold.add(decode(encode(transaction)))
        post(replayed, decode(encode(transaction)))
        assert all(balance >= 0 for account, balance in ledger.balances().items() if account != MINT)
    assert state(replayed) == state(ledger)
    assert fold.verdict(ledger) == dict.fromkeys(INVARIANTS, True)
    assert fold.violations == []


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


def broken(transactions, *, live=None):
    """Return the invariants that a journal of these transactions breaks."""
    fold = Invariants()
    for transaction in transactions:
        fold.add(transaction)
    verdict = fold.verdict(live or Ledger())
    return {name for name, holds in verdict.items() if not holds} - (set() if live else {"I6"})


def change(transaction, **fields):
    return msgspec.structs.replace(transaction, **fields)


START = [tariff(FEE, board=0, time_ns=10), mint(ANN, 2 * FEE, board=0, time_ns=10), a_hold()]
LEGS = a_settlement({SERVER: 75}).postings


@pytest.mark.parametrize(
    ("name", "transactions"),
    [
        ("I1", [*START, change(mint(BOB, 5, board=2, time_ns=40), postings=(Posting(MINT, -5), Posting(BOB, 6)))]),
        ("I2", [*START[:2], a_hold(account=BOB)]),
        ("I3", [*START, START[1]]),
        ("I4", [*START, a_settlement({}), change(a_settlement({SERVER: 1}), id=bytes(16))]),
        ("I4", [*START, a_settlement({}), a_close({}, time_ns=40)]),
        ("I4", [*START, a_close({}), change(a_close({SERVER: 1}), id=bytes(16))]),
        ("I7", [*START, a_close({SERVER: 40}), a_settlement({SERVER: 39})]),
        ("I5", [*START, change(a_settlement({}), postings=(Posting(hold_account(D), -5), Posting(ANN, 5)))]),
        ("I5", [*START, change(mint(BOB, 5, board=1, time_ns=40), postings=(Posting(hold_account(D), 0),) * 2), raw(
            MintMemo("x"), (hold_account(D), -5), (ANN, 5))]),
        ("I7", [*START, change(a_settlement({SERVER: 75}), postings=(LEGS[0], Posting(USERS[2], 750_000), LEGS[2]))]),
        ("I8", [*START[:2], a_hold(fee=FEE - 1)]),
        ("I8", [*START, a_settlement({}, fee=FEE - 1)]),
        ("I8", [*START, a_settlement({}, time_ns=19)]),
        ("I8", [*START, a_settlement({}, board=0)]),
        ("I8", [*START, tariff(5, board=1, time_ns=40)]),
        ("I3", [*START, an_offer(), a_licence(), change(a_licence(), id=bytes(16))]),
        ("I8", [*START, an_offer(), a_licence(price=PRICE - 1)]),
        ("I8", [*START, an_offer(), a_licence(provider=NODES[2])]),
        ("I8", [*START, an_offer(), change(a_licence(), postings=())]),
        ("I8", [*START, a_licence()]),
        ("I2", [*START, an_offer(), a_licence(account=BOB)]),
    ],
)  # fmt: skip
def test_each_invariant_is_seen_broken(name, transactions):
    assert broken(START) == set()
    assert name in broken(transactions)


def test_a_live_state_that_is_not_the_journal_is_seen(ledger):
    assert broken(START[:2], live=ledger) == set()
    assert broken(START, live=ledger) == {"I6"}
    post(ledger, a_hold())
    assert broken(START, live=ledger) == set()
    ledger._balances[ANN] += 1
    assert broken(START, live=ledger) == {"I6"}
