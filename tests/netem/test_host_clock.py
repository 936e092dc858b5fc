"""Clocks that are wrong, and timers that are frozen, against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.clock import S
from netem.errors import ConfigError
from netem.host_clock import HostClock
from netem.network import Network
from netem.virtual_time import VIRTUAL_EPOCH_NS, VirtualTime


class Stub:
    """True time, set by hand; timers are kept."""

    virtual = True
    base_ns = 7

    def __init__(self) -> None:
        self.time_ns = VIRTUAL_EPOCH_NS
        self.timers = []

    def now_ns(self):
        return self.time_ns

    def elapsed_ns(self):
        return self.time_ns - self.base_ns

    def through(self, gate):
        def call_at(when_ns, callback, *args):
            def fire():
                callback(*args) if gate.waiting is None else gate.waiting.append((callback, args))

            self.timers.append((when_ns, fire))

        return call_at


skews = st.lists(
    st.tuples(st.integers(-(10**18), 10**18), st.integers(-(10**8), 10**8), st.integers(0, 10**13)), max_size=4
)


@given(skews, st.integers(0, 10**13), st.integers(-(10**12), 10**12))
def test_a_clock_shows_the_sum_of_its_skews_and_a_timer_fires_when_it_shows_its_time(said, later_ns, ahead_ns):
    true = Stub()
    clock = HostClock(true)
    expected = Fraction(0)
    for serial, (offset_ns, drift_ppb, wait_ns) in enumerate(said):
        clock.add_skew(serial, offset_ns=offset_ns, drift_ppb=drift_ppb)
        true.time_ns += wait_ns
        left_ns = sum(wait for _, _, wait in said[serial:])
        expected += offset_ns + Fraction(drift_ppb * (left_ns + later_ns), S)
    true.time_ns += later_ns
    shown_ns = clock.now_ns()
    assert 0 <= true.time_ns + expected - shown_ns < 1  # whole nanoseconds, rounded down
    assert clock.base_ns + clock.elapsed_ns() == shown_ns
    clock.call_at(shown_ns + ahead_ns, lambda: None)
    due_ns = true.timers[-1][0]
    true.time_ns = due_ns
    assert clock.now_ns() >= shown_ns + ahead_ns
    true.time_ns = due_ns - 1
    assert clock.now_ns() < shown_ns + ahead_ns
    for serial in range(len(said)):
        clock.remove_skew(serial)
    assert clock.now_ns() == true.time_ns


def test_frozen_timers_fire_in_order_once_they_are_thawed():
    true, fired = Stub(), []
    clock = HostClock(true)
    for number in range(3):
        clock.call_at(number, fired.append, number)
    clock.freeze()
    for _, fire in true.timers:
        fire()
    assert fired == []
    clock.thaw()
    assert fired == [0, 1, 2]


def test_the_networks_own_time_stays_true():
    clock = VirtualTime()
    network = Network(clock, run_seed=1)
    host = network.add_host("a")
    with network.skew("a", offset_s=-3600, drift_ppm=500):
        assert host.clock.now_ns() == clock.now_ns() - 3600 * S
        assert network.clock.now_ns() == VIRTUAL_EPOCH_NS
    assert host.clock.now_ns() == clock.now_ns()


@pytest.mark.parametrize("wrong", [{"offset_s": 1e10}, {"offset_s": float("nan")}, {"drift_ppm": -2e5}])
def test_a_clock_that_makes_no_sense_is_refused(wrong):
    network = Network(VirtualTime(), run_seed=1)
    network.add_host("a")
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        network.skew("a", **wrong)
