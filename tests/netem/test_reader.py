"""A network read while it runs: in slices, by several at once."""

from __future__ import annotations

import pytest

from netem.network import Network
from netem.reader import Reader
from netem.tc import parse_tc
from netem.virtual_time import VirtualTime


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
