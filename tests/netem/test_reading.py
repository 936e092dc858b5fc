"""Sums read while a network runs, added up over processes."""

from __future__ import annotations

import msgspec

from netem.latency import LatencyHistogram
from netem.reading import Reading, Timing, Traffic, merged


def counted(*durations_ns):
    histogram = LatencyHistogram()
    for duration_ns in durations_ns:
        histogram.add(duration_ns)
    return histogram.counts()


def test_the_sums_of_processes_are_those_of_one():
    one = Reading(
        Traffic(sent=5, missing=-2, delivered=3, dropped=[1] * 12), Timing(5, 1, counted(1_000), counted()), 7
    )
    other = Reading(Traffic(sent=2, missing=3, lost_predicted=0.5), Timing(2, 0, counted(4_000, 9_000), counted()), 4)
    both = one.plus(other)
    assert both.traffic == Traffic(sent=7, missing=1, delivered=3, lost_predicted=0.5, dropped=[1] * 12)
    assert (both.timing.sent, both.timing.kernel_drops, both.links) == (7, 1, 7)
    assert both.timing.lag == counted(1_000, 4_000, 9_000)
    assert both == other.plus(one)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(both), type=Reading) == both


def test_the_worst_of_all_processes_is_judged_among_all():
    # One process of two lags: of all ticks a quarter, so it shows in the 99th percentile as it does in the certificate's.
    quick, slow = Timing(lag=counted(*[1_000] * 60)), Timing(lag=counted(*[1_000] * 20, *[50_000_000] * 20))
    lag = merged(quick.plus(slow).lag)
    assert lag.quantile_ns(0.5) == 1_000
    assert lag.quantile_ns(0.99) == lag.max_ns == 50_000_000
