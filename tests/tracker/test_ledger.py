"""The bank's rules: what may be posted, once, and what a ledger is then."""

import msgpack
import msgspec
import pytest

from tests.tracker.transactions import (
    ANN,
    BOB,
    DOWNLOADS,
    FEE,
    KEY,
    NODES,
    SERVER,
    USERS,
    D,
    a_close,
    a_file,
    a_hold,
    a_settlement,
    post,
    raw,
    refused,
    state,
)
from tracker.bank.entries import GENESIS, OpenHold
from tracker.bank.ledger import Ledger
from tracker.bank.movements import close, mint, tariff
from tracker.bank.transactions import MINT, HoldMemo, MintMemo, Posting, credits_text, decode, encode, hold_account


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


def test_files_get_their_indices_in_order_and_once(ledger):
    assert post(ledger, a_file(0))
    assert not post(ledger, a_file(0, time_ns=25))
    refused(ledger, a_file(1), "id-reused")
    refused(ledger, a_file(0, 1), "malformed")
    refused(ledger, a_file(2, 1), "malformed")
    assert post(ledger, a_file(1, 1))
    assert [file.name for file in ledger.files] == ["file 0", "file 1"]


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
