"""Pure: the byte queue keeps its rate, its order and its limit."""

import math

from hypothesis import given
from hypothesis import strategies as st

from netem.clock import S
from netem.rate_queue import RateQueue

EPOCH_NS = 1_700_000_000 * S


def test_an_idle_queue_adds_the_serialisation_time_only():
    queue = RateQueue(125_000, 10_000)
    assert queue.admit(EPOCH_NS, 1500) == EPOCH_NS + 12_000_000
    assert queue.admit(EPOCH_NS + S, 1500) == EPOCH_NS + S + 12_000_000


def test_a_busy_queue_keeps_its_rate_to_the_nanosecond_over_ten_seconds():
    rate = 7_777_777.7
    queue = RateQueue(rate, 10**9)
    sent = 0
    departure_ns = 0
    while sent < 10 * rate:
        departure_ns = queue.admit(EPOCH_NS, 1199)
        sent += 1199
    assert abs((departure_ns - EPOCH_NS) - sent / rate * S) < 2


def test_a_packet_beyond_the_limit_is_refused_and_costs_nothing():
    queue = RateQueue(1000, 2500)
    assert [queue.admit(0, 1000), queue.admit(0, 1000), queue.admit(0, 1000)] == [S, 2 * S, -1]
    assert queue.admit(0, 500) == 2 * S + S // 2
    assert queue.admit(0, 1) == -1


def test_an_empty_queue_admits_a_packet_larger_than_its_limit():
    queue = RateQueue(1000, 10)
    assert queue.admit(0, 500) == S // 2
    assert queue.admit(0, 1) == -1
    assert queue.admit(S // 2, 500) == S


def test_an_infinite_rate_neither_delays_nor_limits():
    queue = RateQueue(math.inf, 1)
    assert [queue.admit(time_ns, 1500) for time_ns in (5, 5, 5, 9)] == [5, 5, 5, 9]


def test_a_live_change_of_rate_keeps_order_and_counts_the_bytes_still_queued():
    queue = RateQueue(1000, 3000)
    assert [queue.admit(0, 1000), queue.admit(0, 1000)] == [S, 2 * S]
    queue.rate_bytes_per_s = 1e6
    # One second later 1000 of the 2000 bytes have left, whatever the new rate makes of the time that is left.
    assert queue.admit(S, 2000) == 2 * S + 2_000_000
    assert queue.admit(S, 1) == -1
    queue.rate_bytes_per_s = math.inf
    assert queue.admit(S, 1) == 2 * S + 2_000_000


@given(
    offers=st.lists(st.tuples(st.integers(-10, 50), st.integers(1, 1500)), max_size=200),
    rate=st.floats(1e3, 1e9),
    limit=st.integers(1, 20_000),
)
def test_departures_never_decrease_and_never_precede_entry_plus_serialisation(offers, rate, limit):
    queue = RateQueue(rate, limit)
    time_ns, last_ns = EPOCH_NS, 0
    admitted, seen_ns = [], 0
    for step_us, size_bytes in offers:
        time_ns += step_us * 1000
        departure_ns = queue.admit(time_ns, size_bytes)
        if departure_ns >= 0:
            assert departure_ns >= max(last_ns, time_ns + int(size_bytes * S / rate))
            last_ns = departure_ns
            waiting = sum(size for departs_ns, size in admitted if departs_ns > max(seen_ns, time_ns))
            assert not waiting or waiting + size_bytes <= limit
            admitted.append((departure_ns, size_bytes))
        seen_ns = max(seen_ns, time_ns)
