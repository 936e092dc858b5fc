"""Topologies from TOML: where hosts are, what lies between them, and what is refused with file and key."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import ConfigError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.layout import Layout
from netem.link import LinkConfig
from netem.network import Network
from netem.tc import parse_tc
from netem.topology import Access, parse_topology
from netem.virtual_time import VirtualTime

OWN = LinkConfig((Loss(0.01), Delay(0.02, 0.005)))
ACCESS = Access(125_000.0, math.inf, 1000)
THREE = """
[latency]
regions = ["eu", "us", "asia"]
one_way_s = [[0.002, 0.045, 0.110], [0.050, 0.003, 0.080], [0.120, 0.085, 0.004]]
[regions.eu]
hosts = ["tracker"]
share = 2
[regions.us]
upload_bytes_per_s = 60_000
[regions.asia]
"""


def layout(text, *names):
    topology = parse_topology(text, source="t.toml")
    topology.check(names or ["tracker", "node-0"])
    made = Layout(topology, OWN)
    for name in names:
        made.add(name, access=ACCESS)
    return made


NAMES = ["tracker", *(f"node-{number}" for number in range(8))]


def test_hosts_are_dealt_out_by_share_in_their_order():
    made = layout(THREE, *NAMES)
    assert list(made.region_of.values()) == ["eu", "eu", "eu", "us", "asia", "eu", "eu", "us", "asia"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any), st.integers(0, 200))
def test_regions_are_never_a_host_off_their_share(shares, hosts):
    tables = "".join(f"[regions.r{number}]\nshare = {share}\n" for number, share in enumerate(shares))
    names = [f"n{number}" for number in range(hosts)]
    dealt = Counter(layout(tables, *(names or ["n0"])).region_of.values())
    for number, share in enumerate(shares):
        assert abs(dealt[f"r{number}"] - max(hosts, 1) * share / sum(shares)) < len(shares)
        assert share or not dealt[f"r{number}"]


def test_the_matrix_is_the_delay_from_row_to_column_and_may_be_asymmetric():
    made = layout(THREE, *NAMES)  # node-2 is in us, node-3 in asia
    assert made.link("tracker", "node-2") == LinkConfig((Loss(0.01), Delay(0.045, 0.005)))
    assert made.link("node-2", "tracker").mean_delay_s() == 0.050
    assert made.link("node-0", "node-1").impairments[1] == Delay(0.002, 0.002)  # jitter is at most the delay
    added = layout(THREE.replace("[latency]", '[latency]\nmode = "add"'), *NAMES)
    assert added.link("node-3", "node-2").impairments[1] == Delay(0.02 + 0.085, 0.005)


def test_the_last_of_the_links_that_fits_says_all():
    text = THREE + (
        '[[links]]\nfrom = "eu"\nto = "us"\nimpair = "delay 80ms 5ms loss 1%"\n'
        '[[links]]\nfrom = "node-*"\nto = "node-2"\nimpair = "none"\nboth_ways = true\n'
    )
    made = layout(text, *NAMES)
    assert made.link("tracker", "node-6") == parse_tc("delay 80ms 5ms loss 1%")
    assert made.link("node-6", "tracker").mean_delay_s() == 0.050
    assert made.link("node-0", "node-2") == made.link("node-2", "node-0") == LinkConfig()


def test_access_links_are_the_hosts_own_then_the_regions_then_the_runs():
    text = THREE + (
        '[hosts."node-[36]"]\nupload_bytes_per_s = 20_000\n'
        "[hosts.node-6]\ndownload_bytes_per_s = 9e4\n[hosts.tracker]\nqueue_bytes = 7\n"
    )
    topology = parse_topology(text, source="t.toml")
    made = Layout(topology, OWN)
    access = {name: made.add(name, access=ACCESS) for name in NAMES[1:]}
    access["tracker"] = made.add("tracker", access=Access(math.inf, math.inf, 1000))
    assert access["node-0"] == ACCESS
    assert access["node-2"] == Access(60_000.0, math.inf, 1000)  # by its region, us
    assert access["node-6"] == Access(20_000.0, 90_000.0, 1000)
    assert access["tracker"] == Access(math.inf, math.inf, 7)


def test_a_network_does_what_its_layout_says():
    made = layout(THREE, *NAMES)
    network = Network(VirtualTime(), run_seed=1, link_of=made.link)
    hosts = [network.add_host(name) for name in NAMES]
    assert network.make_route(hosts[1], hosts[3]).link.config.mean_delay_s() == 0.045
    with network.impair("node-0", "node-2", "loss 5%"):
        assert network.routes[0].link.config == LinkConfig((Loss(0.05),))
    assert network.routes[0].link.config.mean_delay_s() == 0.045


def test_another_process_that_is_told_the_regions_has_the_same_links():
    made = layout(THREE, *NAMES)
    there = Layout.parse(THREE, OWN, region_of=dict(made.region_of))
    assert all(there.link(a, b) == made.link(a, b) for a in NAMES for b in NAMES)


LATENCY = '[latency]\nregions = ["a", "b"]\n'
REGIONS = "[regions.a]\n[regions.b]\n"


@pytest.mark.parametrize(
    ("text", "field", "allowed"),
    [
        ("regions = 3", "regions", "tables [regions.NAME]"),
        ("= 3", "", "TOML"),
        ("[region.a]", "region", "the tables latency, regions, hosts and links"),
        ("[regions.a]\nshares = 2", "regions.a.shares", "the keys"),
        ("[regions.a]\nshare = -1", "regions.a.share", "a number from 0 to 1e+06"),
        ("[regions.a]\nshare = nan", "regions.a.share", "numbers, and no nan"),
        ('[regions.a]\nshare = "all"', "regions.a.share", "a number from 0 to 1e+06"),
        ("[regions.a]\nupload_bytes_per_s = 0", "regions.a.upload_bytes_per_s", "a number above 0"),
        ("[hosts.node-0]\nqueue_bytes = 0", "hosts.node-0.queue_bytes", "a whole number from 1 to"),
        ("[hosts.node-7]\nqueue_bytes = 9", "hosts.node-7", "a host or pattern of tracker, node-0"),
        ("[hosts]\nnode-0 = 3", "hosts.node-0", "a table with the keys upload_bytes_per_s, "),
        ('[regions.a]\nhosts = ["nod*", "z"]', "regions.a.hosts", "a host or pattern of tracker, node-0"),
        ('[regions.a]\nhosts = ["node-0"]\n[regions.b]\nhosts = ["*"]', "regions.b.hosts", "no host that is in a too"),
        ('[regions.a]\nhosts = ["node-0"]', "regions", "a region for every host"),
        (LATENCY + "one_way_s = [[0, 0], [0, 0]]", "latency.regions", "every region once: there is no [regions.NAME]"),
        (LATENCY + "one_way_s = [[0, 0], [0, 0]]\n[regions.a]", "latency.regions", "every region once: a"),
        (LATENCY + "one_way_s = [[0, 0], [0, 0]]\n" + REGIONS + "[regions.c]", "latency.regions", "every region once"),
        (LATENCY + "one_way_s = [[0, 0]]\n" + REGIONS, "latency.one_way_s", "a square matrix: 2 rows of 2 numbers"),
        (LATENCY + "one_way_s = [[0, 0], [0]]\n" + REGIONS, "latency.one_way_s", "a square matrix"),
        (LATENCY + "one_way_s = [[0, 0], [0, -1]]\n" + REGIONS, "latency.one_way_s[1][1]", "a number from 0 to 10"),
        (LATENCY + REGIONS, "latency.one_way_s", "a value: it is required"),
        (
            LATENCY + 'one_way_s = [[0, 0], [0, 0]]\nmode = "max"\n' + REGIONS,
            "latency.mode",
            "add, replace",
        ),
        ("[links]\n", "links", "tables [[links]]"),
        ('[[links]]\nfrom = "tracker"\nto = "node-0"', "links[0].impair", "a value: it is required"),
        ('[[links]]\nfrom = "tracker"\nto = "z"\nimpair = "loss 1%"', "links[0].to", "a host or pattern of"),
        (
            '[[links]]\nfrom = "*"\nto = "*"\nimpair = "loss -1%"',
            "links[0].impair: loss",
            "a percentage from 0% to 100%",
        ),
        ('[[links]]\nfrom = "*"\nto = "*"\nimpair = "lag 3"', "links[0].impair: impair", "options"),
    ],
)
def test_what_makes_no_sense_is_refused_with_file_and_key(text, field, allowed):
    with pytest.raises(ConfigError) as caught:
        layout(text)
    assert caught.value.field == ("t.toml: " + field if field else "t.toml")
    assert caught.value.allowed.startswith(allowed)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (LATENCY + "one_way_s = [[0, 0], [0, -1]]\n" + REGIONS, -1),
        (LATENCY + 'one_way_s = [[0, 0], ["x", 0]]\n' + REGIONS, "x"),
        ("[regions.a]\nshares = 2", 2),
        ('[regions.a]\nhosts = ["a", 3]', 3),
        ("[regions.a]\nshare = -1", -1),
        ('[[links]]\nfrom = "*"\nto = "*"\nimpair = 5', 5),
    ],
)
def test_of_a_wrong_table_the_value_is_shown_that_is_wrong(text, value):
    with pytest.raises(ConfigError) as caught:
        layout(text)
    assert caught.value.value == value


def test_a_nan_is_found_where_it_is():
    with pytest.raises(ConfigError, match=r"t.toml: latency.one_way_s\[1\]\[0\]: nan is not allowed"):
        layout(LATENCY + "one_way_s = [[0, 0], [nan, 0]]\n" + REGIONS)
