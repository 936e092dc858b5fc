"""A budget never allows more than its burst and its rate."""

from hypothesis import given
from hypothesis import strategies as st

from netem.clock import S
from tracker.budget import Budget


@given(st.lists(st.tuples(st.integers(0, S), st.integers(0, 30)), max_size=40))
def test_no_more_is_taken_than_burst_and_time_allow(steps):
    budget, now_ns, taken = Budget(per_s=5, burst=10, now_ns=0), 0, 0
    for pause_ns, tries in steps:
        now_ns += pause_ns
        taken += sum(budget.take(now_ns) for _ in range(tries))
        assert taken <= 10 + 5 * now_ns / S + 1e-6


def test_what_is_left_unused_is_kept_up_to_the_burst():
    budget = Budget(per_s=5, burst=10, now_ns=0)
    assert [budget.take(100 * S) for _ in range(11)] == [True] * 10 + [False]
    budget.add(2)
    assert [budget.take(100 * S) for _ in range(3)] == [True, True, False]
    assert not budget.take(50 * S)  # time does not go back
    assert budget.take(101 * S)
