"""Every movement of an account is explained, and accounts are found by a short name."""

import pytest

from netem.errors import ConfigError, LedgerError
from tracker.bank.journal import Journal
from tracker.bank.movements import hold, licence, mint, offer, settle, tariff
from tracker.bank.transactions import HoldMemo, hold_account, user_account
from tracker.bank.why import Basis, render_why, why
from tracker.manifest import manifest_root
from tracker.messages import Manifest

FEE = 1_000_000
NODES = [bytes.fromhex(text) for text in ("ab12000000000000", "ab34000000000000", "cd00000000000000")]
ANN, BOB, CAT = (user_account(node) for node in NODES)
D, E = bytes(15) + b"\1", bytes([0xCD]) * 16
T0 = 1_700_000_000 * 10**9


@pytest.fixture
def path(tmp_path):
    """Ann is endowed and downloads 1000 bytes, 600 from Bob and 300 from Cat; a second download is open."""
    path = tmp_path / "ledger.sqlite"
    journal = Journal(path)
    ledger = journal.replay()
    totals = {NODES[1]: 600, NODES[2]: 300}
    for transaction in (
        tariff(FEE, board=0, time_ns=T0),
        mint(ANN, 2 * FEE, board=0, time_ns=T0),
        hold(D, ANN, FEE, terms=HoldMemo(2 * T0, 0, 10, bytes(32)), board=1, time_ns=T0 + 10**9),
        settle(D, downloader=ANN, fee_credits=FEE, size_bytes=1000, totals=totals, board=4, time_ns=T0 + 3 * 10**9),
        hold(E, ANN, FEE, terms=HoldMemo(2 * T0, 0, 10, bytes(32)), board=5, time_ns=T0 + 5 * 10**9),
    ):
        entry = ledger.admit(transaction)
        ledger.post(entry)
        journal.append([entry])
    journal.close()
    return path


def test_the_downloader_sees_endowment_holds_and_the_refund_of_what_was_not_served(path):
    moves = why(path, ANN)
    assert [(m.seq, m.kind, m.amount_credits, m.balance_credits) for m in moves] == [
        (1, "mint", 2 * FEE, 2 * FEE),
        (2, "hold", -FEE, FEE),
        (3, "settle", 100_000, 1_100_000),
        (4, "hold", -FEE, 100_000),
    ]
    assert moves[0].counterparties == ("mint",)
    assert moves[2].counterparties == (hold_account(D), BOB, CAT)
    assert moves[2].basis == Basis(FEE, 100, 1000)


def test_a_server_sees_whose_fee_it_got_and_for_how_many_bytes(path):
    (move,) = why(path, CAT)
    assert (move.amount_credits, move.time_ns, move.board, move.ref) == (300_000, T0 + 3 * 10**9, 4, D.hex())
    assert move.basis == Basis(FEE, 300, 1000)
    assert move.basis.share == 0.3
    assert ANN in move.counterparties


def test_a_licence_is_explained_to_both_sides(path):
    journal = Journal(path)
    ledger = journal.replay()
    manifest = Manifest("f", 0, [], manifest_root("f", 0, []))
    at = {"board": 6, "time_ns": T0 + 6 * 10**9}
    for transaction in (
        offer(manifest, index=0, provider=NODES[2], price_credits=FEE // 4, **at),
        licence(0, buyer=BOB, provider=CAT, price_credits=FEE // 4, **at),
    ):
        entry = ledger.admit(transaction)
        ledger.post(entry)
        journal.append([entry])
    journal.close()
    bought, sold = why(path, BOB)[-1], why(path, CAT)[-1]
    assert [(m.kind, m.ref, m.amount_credits) for m in (bought, sold)] == [
        ("licence", f"file/0/{BOB}", -FEE // 4),
        ("licence", f"file/0/{BOB}", FEE // 4),
    ]
    assert (bought.counterparties, sold.counterparties) == ((CAT,), (BOB,))
    assert render_why([sold])[-1].endswith(f"licence file/0/{BOB} with {BOB}")


def test_a_hold_account_is_filled_and_emptied(path):
    assert [(m.amount_credits, m.balance_credits, m.basis) for m in why(path, hold_account(D))] == [
        (FEE, FEE, None),
        (-FEE, 0, None),
    ]


@pytest.mark.parametrize("name", [ANN, "user/ab12", "user/ab12..", "ab12", "ab12…", " ab12 "])
def test_a_short_name_that_fits_one_account_is_enough(path, name):
    assert {move.account for move in why(path, name)} == {ANN}


def test_the_mint_is_an_account(path):
    assert [move.counterparties for move in why(path, "mint")] == [(ANN,)]


@pytest.mark.parametrize("name", ["ab", "user", "", "cd", "user/.."])
def test_a_name_that_fits_several_accounts_lists_them(path, name):
    with pytest.raises(ConfigError, match=r"fits more than one of: \w+/\w+, \w+/\w+"):
        why(path, name)


def test_an_unknown_name_says_how_to_find_accounts(path):
    with pytest.raises(ConfigError, match=r"fits none of: hold/.*, mint, user/.*why RUN_DIR mint"):
        why(path, "user/ffff")


def test_many_accounts_are_not_all_listed(tmp_path):
    journal = Journal(tmp_path / "ledger.sqlite")
    ledger = journal.replay()
    for i in range(20):
        entry = ledger.admit(mint(user_account(b"%8d" % i), 1, board=0, time_ns=T0))
        ledger.post(entry)
        journal.append([entry])
    journal.close()
    with pytest.raises(ConfigError, match="15 more") as caught:
        why(tmp_path / "ledger.sqlite", "user/")
    assert str(caught.value).count("user/") == 6


def test_a_broken_journal_explains_nothing(path):
    raw = path.read_bytes()
    path.write_bytes(raw.replace(D.hex().encode(), E.hex().encode(), 1))
    with pytest.raises(LedgerError):
        why(path, ANN)


def test_the_lines_show_time_amount_balance_and_reason(path):
    name, line = render_why(why(path, CAT))
    assert name == CAT
    when, reason = line.split("  settle ")
    assert when.split() == ["2023-11-14", "22:13:23.000", "board", "4", "0.300000", "0.300000"]
    assert reason == (f"{D.hex()} with {hold_account(D)}, {ANN}, {BOB}: 300 of 1000 bytes = 0.300000 of 1.000000")
    assert render_why([]) == []
