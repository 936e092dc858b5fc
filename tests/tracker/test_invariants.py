"""The bank's invariants: they hold whatever is tried, and each is seen broken."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.errors import Rejection
from tests.tracker.transactions import (
    ANN,
    BOB,
    DOWNLOADS,
    FEE,
    NODES,
    PRICE,
    SERVER,
    USERS,
    D,
    a_close,
    a_file,
    a_hold,
    a_licence,
    a_settlement,
    an_offer,
    post,
    raw,
    state,
)
from tracker.bank.invariants import INVARIANTS, Invariants
from tracker.bank.ledger import Ledger
from tracker.bank.movements import close, hold, mint, tariff
from tracker.bank.transactions import MINT, HoldMemo, MintMemo, Posting, decode, encode, hold_account

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
