from node.pace import NEVER_NS
from node.server_flow import ServerFlow

MS = 1_000_000
S = 1_000 * MS


def flow_with(n_asked, now_ns=0):
    flow = ServerFlow(b"s")
    flow.ask(range(n_asked), now_ns)
    return flow


def answer_in_order(flow, keys, *, first_ns, spacing_ns):
    return [key for i, key in enumerate(keys) for key in flow.answer(key, first_ns + i * spacing_ns)]


def test_before_the_rate_is_known_a_gap_of_four_positions_is_loss_and_a_smaller_one_is_not():
    flow = flow_with(10)
    assert answer_in_order(flow, [0, 2, 3, 4], first_ns=100 * MS, spacing_ns=1 * MS) == []
    assert flow.answer(5, 105 * MS) == [1]
    assert 1 not in flow.outstanding


def test_a_block_given_up_that_comes_after_all_is_an_answer_and_makes_slower_to_believe_gaps():
    flow = flow_with(30)
    answer_in_order(flow, [0, 2, 3, 4, 5], first_ns=100 * MS, spacing_ns=1 * MS)
    tolerance = flow.tolerance
    assert not flow.answer(1, 106 * MS)
    assert flow.answer(1, 107 * MS) is None
    assert flow.tolerance > tolerance


def test_silence_times_out_later_and_later_up_to_four_seconds():
    flow, now_ns, waits = ServerFlow(b"s"), 0, []
    assert flow.deadline_ns() == flow.expected_ns() == NEVER_NS
    for _ in range(12):
        flow.ask([1, 2], now_ns)
        waits.append((flow.deadline_ns() - now_ns) / S)
        now_ns = flow.deadline_ns()
        assert flow.timed_out() == [1, 2]
    assert waits[:6] == [0.15, 0.3, 0.6, 1.2, 2.4, 4.0]
    assert max(waits) == 4.0
    flow.ask([1], now_ns)
    flow.answer(1, now_ns + 100 * MS)
    assert flow.timeouts == 0


def test_an_answer_to_a_block_taken_to_be_lost_and_asked_again_says_nothing_about_others():
    flow = flow_with(10)
    flow.ask(answer_in_order(flow, [0, 2, 3, 4, 5], first_ns=100 * MS, spacing_ns=1 * MS), 110 * MS)
    # It may be the first request's answer, so that what was asked between the two may still be on its way.
    assert not flow.answer(1, 250 * MS)
    assert sorted(flow.outstanding) == [6, 7, 8, 9]


def test_a_timeout_found_too_early_makes_the_next_one_later():
    flow = flow_with(60)
    answer_in_order(flow, range(50), first_ns=10 * MS, spacing_ns=1 * MS)
    first_ns = flow.deadline_ns()
    flow.timed_out()
    flow.answer(50, 100 * MS)
    flow.ask([70], 200 * MS)
    assert flow.deadline_ns() - flow.expected_ns() > first_ns - 60 * MS


def test_trimmed_blocks_leave_no_gap_and_count_as_answers_if_they_come():
    flow = flow_with(10)
    assert flow.trim(4) == [4, 5, 6, 7, 8, 9]
    flow.ask([20], 1 * MS)
    assert flow.outstanding[20][0] == 5
    assert not flow.answer(7, 50 * MS)
    assert answer_in_order(flow, [0, 1, 2, 3, 20], first_ns=100 * MS, spacing_ns=10 * MS) == []


def test_withdrawn_blocks_are_unasked_for():
    flow = flow_with(10)
    flow.withdraw(range(5))
    assert sorted(flow.outstanding) == [5, 6, 7, 8, 9]
    assert flow.answer(3, 100 * MS) is None


def test_the_word_that_we_are_in_line_measures_the_round_trip_and_the_wait_does_not():
    flow = flow_with(10)
    flow.queued(3 * S, now_ns=40 * MS)
    assert flow.rtt_ns == 40 * MS
    answer_in_order(flow, range(9), first_ns=3 * S, spacing_ns=10 * MS)
    assert flow.rtt_ns == 40 * MS
    assert flow.deadline_ns() < 3 * S + 250 * MS


def test_a_word_that_may_answer_an_earlier_request_measures_nothing():
    flow = flow_with(10)
    flow.timed_out()
    flow.ask(range(10), 150 * MS)
    flow.queued(3 * S, now_ns=160 * MS)
    assert flow.rtt_ns == 0
