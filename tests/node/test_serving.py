from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.serving import MOST_LOOKED_AT, Asked, FileQueue, Room
from tracker.messages import PIECE_BYTES

A, B = b"a" * 16, b"b" * 16
PLACES = {A: 0, B: 1}  # when each download was opened
S = 1_000_000_000
RATE = 102_400.0  # 100 blocks a second


class Line:
    """The queue of one file of two pieces, and the downloads that ask it."""

    def __init__(self, rate=RATE, *, most=65_536, **options):
        self.room = Room(most)
        self.queue = FileQueue(2 * PIECE_BYTES, self.room, **options)
        self.queue.set_rate(rate)
        self.asked = {download: Asked(download=download) for download in (A, B)}

    def ask(self, download, runs, *, now_ns=0, place=None):
        """Return how many blocks were new."""
        before = self.room.pending
        place = PLACES[download] if place is None else place
        self.queue.enqueue(self.asked[download], runs, place=place, now_ns=now_ns)
        return self.room.pending - before

    def forget(self, download):
        self.queue.forget(self.asked[download])

    def take(self, now_ns):
        """Return (download, piece, block) and when the next may leave, or None."""
        due = self.queue.due(now_ns)
        return due and (due[0].download, *due[1:])

    def drain(self, until_ns):
        sent = []
        while (next_ns := self.queue.next_ns()) is not None and next_ns <= until_ns:
            block = self.take(next_ns)
            assert block is not None
            sent.append((next_ns, *block[:3]))
            assert block[3] == self.queue.next_ns()
        return sent


def test_blocks_leave_at_the_reserved_rate_in_the_order_asked():
    line = Line()
    line.ask(A, [(1, 5, 2), (0, 0, 100)], now_ns=S)
    sent = line.drain(2 * S - 1)
    assert len(sent) == 100
    assert sent[0] == (S, A, 1, 5)
    assert {later[0] - earlier[0] for earlier, later in pairwise(sent)} == {S // 100}
    assert [block for *_, block in sent[2:]] == list(range(98))


def test_headers_count_against_the_rate():
    line = Line(overhead_bytes=1_024)
    line.ask(A, [(0, 0, 256)])
    assert len(line.drain(S - 1)) == 50


def test_idle_time_earns_no_credit_and_a_late_driver_catches_up_by_one_block():
    line = Line()
    line.ask(A, [(0, 0, 1)])
    assert line.take(0)
    line.ask(A, [(0, 1, 100)], now_ns=10 * S)
    assert line.take(10 * S)
    assert line.take(10 * S) is None
    late_ns = 11 * S
    burst = 0
    while line.take(late_ns):
        burst += 1
    assert burst == 2  # the one due, and one more


def test_a_changed_rate_counts_at_once():
    line = Line()
    line.ask(A, [(0, 0, 9)])
    line.take(0)
    assert line.queue.next_ns() == S // 100
    line.queue.set_rate(RATE * 4)
    assert line.queue.next_ns() == S // 400
    line.queue.set_rate(0.0)
    assert line.queue.next_ns() is None
    assert line.take(S) is None
    assert line.room.pending == 8


def test_the_oldest_download_is_served_first_and_an_idle_one_holds_nobody_up():
    line = Line()
    line.ask(A, [(0, 0, 2)])
    line.ask(B, [(0, 0, 4)])
    order = [sent[1] for sent in line.drain(3 * S // 100)]
    line.ask(A, [(0, 7, 1)], now_ns=3 * S // 100)
    order += [sent[1] for sent in line.drain(S)]
    assert order == [A, A, B, B, A, B, B]


def test_a_block_asked_again_while_queued_is_queued_once():
    line = Line()
    assert line.ask(A, [(0, 0, 10)]) == 10
    assert line.ask(A, [(0, 5, 10)]) == 5
    line.take(0)
    assert line.ask(A, [(0, 0, 1)]) == 1  # it has left: it may be lost
    assert [block for *_, block in line.drain(S)] == [*range(1, 15), 0]


def test_what_exceeds_a_bound_or_the_file_is_dropped():
    line = Line(most_of_one=10, most=15)
    assert line.ask(A, [(0, 2, 3)]) == 3
    assert line.ask(A, [(0, 0, 12)]) == 7
    assert line.ask(A, [(0, 0, 12)]) == 0
    assert line.ask(B, [(0, 0, 12)]) == 5
    line.take(0)
    assert line.ask(B, [(2, 0, 1), (0, 250, 10), (0, -1, 2), (-1, 0, 1), (0, 3, 0)]) == 0
    assert [block for *_, block in line.drain(S)] == [3, 4, 0, 1, 5, 6, 7, 8, 9, *range(5)]


def test_a_forgotten_download_is_gone_and_may_come_back_at_its_place():
    line = Line()
    line.ask(A, [(0, 0, 5)])
    line.ask(B, [(0, 0, 1)])
    line.forget(A)
    assert line.room.pending == 1
    line.ask(A, [(0, 0, 1)])
    assert [sent[1] for sent in line.drain(S)] == [A, B]
    assert line.room.pending == 0


def test_a_download_that_was_forgotten_for_good_may_be_asked_for_anew_by_another_of_its_id():
    line = Line()
    line.ask(A, [(0, 0, 3)])
    line.forget(A)
    line.asked[A] = Asked(download=A)
    assert line.ask(A, [(0, 5, 2)]) == 2
    assert [block for _, _, _, block in line.drain(S)] == [5, 6]


def test_a_closed_queue_is_empty_and_its_downloads_may_ask_another():
    line, other = Line(), Line()
    line.ask(A, [(0, 0, 5)])
    line.queue.close()
    assert line.room.pending == 0
    assert line.take(S) is line.queue.next_ns() is None
    other.asked = line.asked
    assert other.ask(A, [(0, 0, 5)]) == 5
    assert len(other.drain(S)) == 5


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("ask"),
                st.sampled_from([A, B]),
                st.tuples(st.integers(0, 2), st.integers(0, 255), st.integers(1, 40)),
                st.integers(0, 2),
            ),
            st.tuples(st.just("send"), st.integers(0, S // 10)),
            st.tuples(st.just("forget"), st.sampled_from([A, B])),
            st.tuples(st.just("rate"), st.sampled_from([0.0, 1_000.0, RATE])),
        )
    )
)
def test_every_queued_block_leaves_once_or_is_forgotten_and_those_of_the_lowest_place_first(steps):
    line = Line(most_of_one=100, most=150)
    now_ns, queued, left, places = 0, Counter(), Counter(), {}
    for step in steps:
        if step[0] == "ask":
            _, download, run, places[step[1]] = step
            queued[download] += line.ask(download, [run], now_ns=now_ns, place=places[download])
        elif step[0] == "send":
            now_ns += step[1]
            while block := line.take(now_ns):
                waiting = [download for download in places if queued[download] > left[download]]
                assert block[0] == min(waiting, key=lambda download: (places[download], download))
                left[block[0]] += 1
        elif step[0] == "forget":
            line.forget(step[1])
            queued[step[1]] = left[step[1]] = 0
        else:
            line.queue.set_rate(step[1])
        assert line.room.pending == queued.total() - left.total() <= 150
    line.queue.set_rate(RATE)
    line.drain(now_ns + 100 * S)
    assert line.room.pending == 0


@pytest.mark.parametrize("rate", [3_000.0, 125_000.0, 12_500_000.0])
def test_over_a_second_a_file_sends_its_rate(rate):
    line = Line(rate)
    now_ns = sent = 0
    while now_ns < S:
        line.ask(A, [(0, 0, 256)], now_ns=now_ns)
        sent += len(line.drain(now_ns))
        now_ns = max(line.queue.next_ns(), now_ns + 1)
    assert abs(sent - rate / 1_024) <= 1


def test_a_request_is_looked_at_no_longer_than_it_can_bring_anything():
    looked_at = 0

    def runs():
        nonlocal looked_at
        for _ in range(1_000):
            looked_at += 10
            yield 0, 0, 10

    line = Line()
    assert line.ask(A, runs()) == 10
    assert looked_at < MOST_LOOKED_AT + 20


def test_a_download_that_asks_again_at_a_later_place_lets_others_pass():
    line = Line()
    line.ask(A, [(0, 0, 2)], place=1)
    line.ask(B, [(0, 0, 1)], place=2)
    line.ask(A, [(0, 2, 1)], place=3)
    assert [download for _, download, *_ in line.drain(S)] == [B, A, A, A]


def test_a_wait_behind_next_to_no_rate_is_long_but_fits_a_frame():
    line = Line(rate=1e-30)
    line.ask(A, [(0, 0, 100)])
    line.ask(B, [(0, 0, 100)])
    assert 100 * 365 * 86_400 * S < line.queue.wait_ns(line.asked[B]) < 2**63
