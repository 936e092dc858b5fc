"""The replay window accepts each number once, in any order within its size."""

from hypothesis import given
from hypothesis import strategies as st

from tracker.replay import ReplayWindow


def test_numbers_are_accepted_once_and_out_of_order_within_the_window():
    window = ReplayWindow(size=8)
    assert [window.accept(seq) for seq in (0, 2, 1, 2, 0, 9, 2, 1)] == [
        True,
        True,
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert window.accept(3)
    assert not window.accept(3)


def test_a_number_older_than_the_window_counts_as_seen():
    window = ReplayWindow(size=4)
    assert window.accept(10)
    assert not window.accept(6)
    assert window.accept(7)


def test_a_jump_of_any_size_costs_no_memory():
    window = ReplayWindow()
    assert window.accept(0)
    assert window.accept(2**62)
    assert not window.accept(0)
    assert window._bitmap.bit_length() <= 1024


@given(st.lists(st.integers(0, 60), max_size=150), st.integers(1, 70))
def test_the_bitmap_equals_a_set_with_a_lower_edge(seqs, size):
    window, seen, newest = ReplayWindow(size), set(), -1
    for seq in seqs:
        newest_then = max(newest, seq)
        expected = seq not in seen and seq > newest_then - size
        assert window.accept(seq) == expected
        newest = newest_then
        seen.add(seq)
