import pytest

from node.server_flow import MAX_WINDOW, NEVER_NS, ServerFlow

MS = 1_000_000
S = 1_000 * MS


def flow_with(n_asked, now_ns=0):
    flow = ServerFlow(b"s")
    flow.ask(range(n_asked), now_ns)
    return flow


def answer_in_order(flow, keys, *, first_ns, spacing_ns):
    return [key for i, key in enumerate(keys) for key in flow.answer(key, first_ns + i * spacing_ns)]


def test_a_gap_of_four_positions_is_loss_and_a_smaller_one_is_not():
    flow = flow_with(10)
    assert answer_in_order(flow, [0, 2, 3, 4], first_ns=100 * MS, spacing_ns=10 * MS) == []
    assert flow.answer(5, 150 * MS) == [1]
    assert 1 not in flow.outstanding


def test_a_block_given_up_that_comes_after_all_is_an_answer_and_raises_the_tolerance():
    flow = flow_with(30)
    answer_in_order(flow, [0, 2, 3, 4, 5], first_ns=100 * MS, spacing_ns=10 * MS)
    assert not flow.answer(1, 151 * MS)
    assert flow.answer(1, 152 * MS) is None
    assert answer_in_order(flow, [7, 8, 9, 10, 11, 12, 13], first_ns=160 * MS, spacing_ns=10 * MS) == []
    assert flow.answer(14, 230 * MS) == [6]


def test_the_rate_is_measured_through_loss():
    flow = flow_with(60)
    keys = [key for key in range(60) if key % 3]
    for key in keys:
        flow.answer(key, 100 * MS + key * 10 * MS)
    assert flow.spacing_ns == pytest.approx(10 * MS)
    assert flow.rtt_ns == 110 * MS


def test_idle_time_is_no_measure_of_the_rate():
    flow = flow_with(2)
    answer_in_order(flow, [0, 1], first_ns=100 * MS, spacing_ns=10 * MS)
    flow.ask([2], 5 * S)
    flow.answer(2, 5 * S + 100 * MS)
    assert flow.spacing_ns == pytest.approx(10 * MS)


def test_the_window_is_the_rate_times_round_trip_and_horizon_within_bounds():
    flow = ServerFlow(b"s")
    assert flow.window(float("inf")) == 4
    for i in range(40):
        flow.ask([4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3], i * S)
        answer_in_order(flow, range(4 * i, 4 * i + 4), first_ns=i * S + 100 * MS, spacing_ns=10 * MS)
    assert flow.window(float("inf")) == 111
    assert flow.window(50 * MS) == 16
    flow.spacing_ns = 1.0 * MS
    assert flow.window(float("inf")) == MAX_WINDOW
    flow.spacing_ns = 30.0 * S
    assert flow.window(float("inf")) == 2


def test_silence_times_out_later_and_later_up_to_four_seconds():
    flow, now_ns, waits = ServerFlow(b"s"), 0, []
    assert flow.deadline_ns() == flow.expected_ns() == NEVER_NS
    for _ in range(12):
        flow.ask([1, 2], now_ns)
        waits.append((flow.deadline_ns() - now_ns) / S)
        now_ns = flow.deadline_ns()
        assert flow.timed_out() == [1, 2]
    assert waits[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert max(waits) == 4.0
    flow.ask([1], now_ns)
    flow.answer(1, now_ns + 100 * MS)
    assert flow.timeouts == 0


def test_an_answer_to_a_block_asked_twice_says_nothing_about_others():
    flow = flow_with(10)
    answer_in_order(flow, [0, 1], first_ns=100 * MS, spacing_ns=10 * MS)
    flow.ask(flow.timed_out(), 500 * MS)
    # The server had all of them queued, and answers the last one first for some reason.
    assert not flow.answer(9, 700 * MS)
    assert len(flow.outstanding) == 7


def test_withdrawn_blocks_are_unasked_for():
    flow = flow_with(10)
    flow.withdraw(range(5))
    assert sorted(flow.outstanding) == [5, 6, 7, 8, 9]
    assert flow.answer(3, 100 * MS) is None
