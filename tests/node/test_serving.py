from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.serving import MOST_LOOKED_AT, UploadQueues
from tracker.messages import PIECE_BYTES

A, B = b"a" * 16, b"b" * 16
PLACES = {A: 0, B: 1}  # when each download was opened
S = 1_000_000_000
RATE = 102_400.0  # 100 blocks a second


def queues_at(rate=RATE, **bounds):
    queues = UploadQueues(**bounds)
    queues.offer(0, 2 * PIECE_BYTES)
    queues.set_rates({0: rate})
    return queues


def drain(queues, until_ns, file=0):
    sent = []
    while (next_ns := queues.next_ns(file)) is not None and next_ns <= until_ns:
        block = queues.due(file, next_ns)
        assert block is not None
        sent.append((next_ns, *block[:3]))
        assert block[3] == queues.next_ns(file)
    return sent


def test_blocks_leave_at_the_reserved_rate_in_the_order_asked():
    queues = queues_at()
    queues.enqueue(0, A, [(1, 5, 2), (0, 0, 100)], place=PLACES[A], now_ns=S)
    sent = drain(queues, 2 * S - 1)
    assert len(sent) == 100
    assert sent[0] == (S, A, 1, 5)
    assert {later[0] - earlier[0] for earlier, later in pairwise(sent)} == {S // 100}
    assert [block for *_, block in sent[2:]] == list(range(98))


def test_headers_count_against_the_rate():
    queues = queues_at(overhead_bytes=1_024)
    queues.enqueue(0, A, [(0, 0, 256)], place=PLACES[A], now_ns=0)
    assert len(drain(queues, S - 1)) == 50


def test_idle_time_earns_no_credit_and_a_late_driver_catches_up_by_one_block():
    queues = queues_at()
    queues.enqueue(0, A, [(0, 0, 1)], place=PLACES[A], now_ns=0)
    assert queues.due(0, 0)
    queues.enqueue(0, A, [(0, 1, 100)], place=PLACES[A], now_ns=10 * S)
    assert queues.due(0, 10 * S)
    assert queues.due(0, 10 * S) is None
    late_ns = 11 * S
    burst = 0
    while queues.due(0, late_ns):
        burst += 1
    assert burst == 2  # the one due, and one more


def test_a_changed_rate_counts_at_once():
    queues = queues_at()
    queues.enqueue(0, A, [(0, 0, 9)], place=PLACES[A], now_ns=0)
    queues.due(0, 0)
    assert queues.next_ns(0) == S // 100
    queues.set_rates({0: RATE * 4})
    assert queues.next_ns(0) == S // 400
    queues.set_rates({})
    assert queues.next_ns(0) is None
    assert queues.due(0, S) is None
    assert queues.busy()


def test_the_oldest_download_is_served_first_and_an_idle_one_holds_nobody_up():
    queues = queues_at()
    queues.enqueue(0, A, [(0, 0, 2)], place=PLACES[A], now_ns=0)
    queues.enqueue(0, B, [(0, 0, 4)], place=PLACES[B], now_ns=0)
    order = [sent[1] for sent in drain(queues, 3 * S // 100)]
    queues.enqueue(0, A, [(0, 7, 1)], place=PLACES[A], now_ns=3 * S // 100)
    order += [sent[1] for sent in drain(queues, S)]
    assert order == [A, A, B, B, A, B, B]


def test_a_block_asked_again_while_queued_is_queued_once():
    queues = queues_at()
    assert queues.enqueue(0, A, [(0, 0, 10)], place=PLACES[A], now_ns=0) == 10
    assert queues.enqueue(0, A, [(0, 5, 10)], place=PLACES[A], now_ns=0) == 5
    assert queues.repeated == 5
    queues.due(0, 0)
    assert queues.enqueue(0, A, [(0, 0, 1)], place=PLACES[A], now_ns=0) == 1  # it has left: it may be lost


def test_what_exceeds_a_bound_or_the_file_is_dropped_and_counted():
    queues = queues_at(max_pending_per_download=10, max_pending=15)
    assert queues.enqueue(0, A, [(0, 0, 12)], place=PLACES[A], now_ns=0) == 10
    assert queues.enqueue(0, B, [(0, 0, 12)], place=PLACES[B], now_ns=0) == 5
    assert queues.enqueue(7, B, [(0, 0, 1)], place=PLACES[B], now_ns=0) == 0
    assert (
        queues.enqueue(0, B, [(2, 0, 1), (0, 250, 10), (0, -1, 2), (-1, 0, 1), (0, 3, 0)], place=PLACES[B], now_ns=0)
        == 0
    )
    assert queues.dropped == {"full": 9, "not-offered": 1, "out-of-range": 5}


def test_a_forgotten_download_is_gone_and_may_come_back_at_its_place():
    queues = queues_at()
    queues.enqueue(0, A, [(0, 0, 5)], place=PLACES[A], now_ns=0)
    queues.enqueue(0, B, [(0, 0, 1)], place=PLACES[B], now_ns=0)
    queues.forget(0, A)
    assert queues.pending == 1
    queues.enqueue(0, A, [(0, 0, 1)], place=PLACES[A], now_ns=0)
    assert [sent[1] for sent in drain(queues, S)] == [A, B]
    assert not queues.busy()


def test_a_withdrawn_file_is_served_no_more():
    queues = queues_at()
    queues.enqueue(0, A, [(0, 0, 5)], place=PLACES[A], now_ns=0)
    queues.withdraw(0)
    assert not queues.busy()
    assert queues.due(0, S) is queues.next_ns(0) is None
    assert queues.enqueue(0, A, [(0, 0, 5)], place=PLACES[A], now_ns=0) == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("ask"), st.sampled_from([A, B]), st.integers(0, 2), st.integers(0, 255), st.integers(1, 40)
            ),
            st.tuples(st.just("send"), st.integers(0, S // 10)),
            st.tuples(st.just("forget"), st.sampled_from([A, B])),
            st.tuples(st.just("rate"), st.sampled_from([0.0, 1_000.0, RATE])),
        )
    )
)
def test_every_queued_block_leaves_once_or_is_forgotten(steps):
    queues = queues_at(max_pending_per_download=100, max_pending=150)
    now_ns, queued, left = 0, Counter(), Counter()
    for step in steps:
        if step[0] == "ask":
            queued[step[1]] += queues.enqueue(0, step[1], [step[2:]], place=PLACES[step[1]], now_ns=now_ns)
        elif step[0] == "send":
            now_ns += step[1]
            while block := queues.due(0, now_ns):
                left[block[0]] += 1
        elif step[0] == "forget":
            queues.forget(0, step[1])
            queued[step[1]] = left[step[1]] = 0
        else:
            queues.set_rates({0: step[1]})
        assert queues.pending == queued.total() - left.total() <= 150
        assert queues.busy() == (queues.pending > 0)
    queues.set_rates({0: RATE})
    drain(queues, now_ns + 100 * S)
    assert queues.pending == 0


@pytest.mark.parametrize("rate", [3_000.0, 125_000.0, 12_500_000.0])
def test_over_a_second_a_file_sends_its_rate(rate):
    queues = queues_at(rate)
    now_ns = sent = 0
    while now_ns < S:
        queues.enqueue(0, A, [(0, 0, 256)], place=PLACES[A], now_ns=now_ns)
        sent += len(drain(queues, now_ns))
        now_ns = max(queues.next_ns(0), now_ns + 1)
    assert abs(sent - rate / 1_024) <= 1


def test_a_request_is_looked_at_no_longer_than_it_can_bring_anything():
    queues = queues_at()
    runs = [(0, 0, 10)] * 1_000
    assert queues.enqueue(0, A, runs, place=PLACES[A], now_ns=0) == 10
    assert queues.repeated < MOST_LOOKED_AT


def test_a_download_that_asks_again_at_a_later_place_lets_others_pass():
    queues = queues_at()
    queues.enqueue(0, A, [(0, 0, 2)], place=1, now_ns=0)
    queues.enqueue(0, B, [(0, 0, 1)], place=2, now_ns=0)
    queues.enqueue(0, A, [(0, 2, 1)], place=3, now_ns=0)
    served = []
    while queues.pending:
        served.append(queues.due(0, queues.next_ns(0))[0])
    assert served == [B, A, A, A]


def test_a_wait_behind_next_to_no_rate_is_long_but_fits_a_frame():
    queues = queues_at(rate=1e-30)
    queues.enqueue(0, A, [(0, 0, 100)], place=PLACES[A], now_ns=0)
    queues.enqueue(0, B, [(0, 0, 100)], place=PLACES[B], now_ns=0)
    assert 100 * 365 * 86_400 * S < queues.wait_ns(0, B) < 2**63
