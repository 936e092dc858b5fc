"""Sums read while a network runs: in slices, by several at once, and added up over processes."""

from __future__ import annotations

import msgspec
import pytest

from netem.latency import LatencyHistogram
from netem.network import Network
from netem.reading import Reader, Reading, Timing, Traffic, merged
from netem.tc import parse_tc
from netem.virtual_time import VirtualTime


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


def a_network():
    network = Network(VirtualTime(), run_seed=1, default_link=parse_tc("loss 10%"))
    hosts = [network.add_host(name) for name in "abc"]
    for source in hosts:
        for target in hosts:
            if source is not target:
                network.make_route(source, target)
    return network


def test_who_reads_amid_a_reading_gets_what_was_read_before():
    network = a_network()
    reader = Reader(network)
    list(reader.read())
    network.routes[0].link.number = 10
    reading = reader.read()
    next(reading)
    assert list(reader.read()) == []
    assert reader.traffic.exposed == 0
    list(reading)
    assert reader.traffic.exposed == 10
    abandoned = reader.read()
    next(abandoned)
    abandoned.close()  # such as by a scrape that was broken off
    network.routes[0].link.number = 11
    list(reader.read())
    assert reader.traffic.exposed == 11


def test_what_links_do_is_read_anew_after_a_live_change():
    network = a_network()
    reader = Reader(network)
    network.routes[0].link.number = 100
    list(reader.read())
    assert reader.traffic.lost_predicted == pytest.approx(10.0)
    network.impair_all(parse_tc("loss 50%"))
    network.routes[0].link.number += 100
    list(reader.read())
    assert reader.traffic.lost_predicted == pytest.approx(60.0)
