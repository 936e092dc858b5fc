"""Pure: sets of packet numbers tell repeats and neighbours, whatever the order, and stay small."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netem.seen import HORIZON, NUMBER_BITS, SeenNumbers

NUMBERS = st.integers(0, 1600) | st.sampled_from([2**31, 2**31 + 1, 2**32 - 1])
BATCHES = st.lists(st.lists(st.tuples(st.sampled_from([0, 1, 39_999]), NUMBERS), min_size=1, max_size=60), max_size=8)


def keys(pairs):
    return np.array(sorted({(link << NUMBER_BITS) | number for link, number in pairs}), dtype=np.int64)


@given(BATCHES)
def test_it_knows_what_was_added_and_which_have_their_successor(batches):
    seen, known = SeenNumbers(), set()
    for batch in batches:
        added = keys(batch)
        assert seen.add(added).tolist() == [int(key) in known for key in added]
        known |= set(map(int, added))
    expected = np.zeros(40_000, dtype=np.int64)
    for key in known:
        expected[key >> NUMBER_BITS] += key + 1 in known
    assert (seen.adjacent(40_000) == expected).all()


def test_what_is_far_behind_is_a_count_only():
    seen = SeenNumbers()
    packets = 60 * HORIZON
    for start in range(0, packets, 50_000):
        some = np.arange(start, min(start + 50_000, packets))
        seen.add(some[some % 10 != 0])
        seen.reduce(np.array([some[-1]]))
    assert seen._bits.nbytes < packets / 8 / 2  # of a bit a packet
    assert seen.adjacent(1)[0] == (np.arange(packets - 1) % 10 % 9 != 0).sum()
    # A number within the horizon is still known, one far behind it is not.
    assert seen.add(np.array([packets - HORIZON + 1]))[0]
    assert not seen.add(np.array([1]))[0]
