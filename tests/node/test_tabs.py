"""A tab bounds what a downloader gets without receipts, whatever it does, and never hinders one who pays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.clock import S
from node.tabs import (
    FORGIVEN_BYTES_PER_S,
    MOST_OWED_BYTES,
    OWED_BYTES,
    PAID_PER_RECEIPTED,
    Tab,
    Tabs,
)
from tracker.messages import BLOCK_BYTES, PIECE_BYTES

STEPS = st.lists(st.tuples(st.sampled_from(["send", "receipt", "wait"]), st.integers(0, 2 * PIECE_BYTES)), max_size=80)


@given(STEPS)
def test_nobody_gets_more_than_the_bound_beyond_what_it_paid_for(steps):
    tab, sent, receipted, now_ns = Tab(0), 0, 0, 0
    for what, amount in steps:
        if what == "send":
            for _ in range(amount // BLOCK_BYTES):
                if not tab.exhausted:
                    tab.sent(BLOCK_BYTES)
                    sent += BLOCK_BYTES
        elif what == "receipt":
            paid = min(amount, sent - receipted)  # for more than was sent there is no receipt
            tab.receipted(paid)
            receipted += paid
        else:
            now_ns += amount * S // 1000
            tab.forgive(now_ns)
        assert tab.owed_bytes >= -MOST_OWED_BYTES
        free = MOST_OWED_BYTES + BLOCK_BYTES + FORGIVEN_BYTES_PER_S * now_ns / S
        assert sent <= free + PAID_PER_RECEIPTED * receipted


@pytest.mark.parametrize(("loss", "late_again"), [(0.0, False), (0.1, False), (0.5, True)])
def test_who_pays_for_each_piece_is_never_cut_off_and_late_at_most_with_its_first(loss, late_again):
    tab, late = Tab(0), 0
    for _ in range(256):  # a full window ahead
        tab.sent(BLOCK_BYTES)
    for piece in range(20):
        for _ in range(round(PIECE_BYTES / BLOCK_BYTES / (1 - loss))):
            assert not tab.sent(BLOCK_BYTES)
            assert not tab.exhausted
            late += tab.late and piece > 0
        tab.receipted(PIECE_BYTES)
    assert bool(late) is late_again


def test_debts_are_forgiven_in_time_and_credit_is_not():
    tabs = Tabs()
    debtor, payer = tabs.of(b"a", 0), tabs.of(b"b", 0)
    debtor.sent(10 * FORGIVEN_BYTES_PER_S)
    payer.receipted(100)
    tabs.forgive(5 * S)
    assert (debtor.owed_bytes, payer.owed_bytes) == (5 * FORGIVEN_BYTES_PER_S, -100 * PAID_PER_RECEIPTED)
    tabs.forgive(60 * S)
    assert debtor.owed_bytes == 0
    assert tabs.of(b"a", 0) is debtor
    assert list(tabs.all()) == [b"a", b"b"]


def test_the_thresholds_are_in_order():
    assert PIECE_BYTES < OWED_BYTES < MOST_OWED_BYTES
