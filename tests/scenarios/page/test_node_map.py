"""The map of the network: cuts, losses, what is held, who is down, and what is busy."""

from __future__ import annotations

from netem.faults import FaultMade
from netem.tc import parse_tc
from scenarios.page import node_map
from scenarios.page.node_map import CUT, HELD, NodeMap


def read(drawing):
    for _ in drawing.steps():
        pass
    return drawing.told()


def test_the_map_tells_cuts_losses_and_who_is_down(network):
    drawing = NodeMap(network)
    before = read(drawing)
    assert before["names"] == ["tracker", "node-0", "node-1"]
    assert before["pairs"] == []  # nothing is busy
    assert before["loss"] == [0.1, 0.1, 0.1]
    network.crash("node-1")
    with network.partition(["node-0"], ["tracker", "node-1"]):
        network.impair_all(parse_tc("loss 30%"))
        drawing.fold(0, FaultMade("partition", ""))
        during = read(drawing)
    assert during["up"] == [1, 1, 0]
    assert during["paused"] == [0, 0, 0]
    assert during["elsewhere"] == 0
    assert during["cut"] == [0.5, 1.0, 0.5]
    assert during["loss"] == [0.3, 0.3, 0.3]
    assert sorted(during["pairs"]) == [[0, 1, 0, 1, 0.3], [1, 2, 0, 1, 0.3]]
    drawing.fold(0, FaultMade("heal", ""))
    assert read(drawing)["cut"] == [0.0, 0.0, 0.0]


def test_the_map_tells_what_is_held_and_who_is_paused(network):
    drawing = NodeMap(network)
    read(drawing)
    with network.hold("node-0", ["tracker", "node-1"]), network.pause("node-1"):
        drawing.fold(0, FaultMade("hold", ""))
        assert sorted(read(drawing)["pairs"]) == [[0, 1, 0, HELD, 0.1], [1, 2, 0, HELD, 0.1]]
        assert drawing.told()["paused"] == [0, 0, 1]
        with network.partition("node-0", "tracker", one_way=True):
            drawing.fold(0, FaultMade("partition", ""))
            assert sorted(read(drawing)["pairs"]) == [[0, 1, 0, CUT, 0.1], [1, 2, 0, HELD, 0.1]]
    drawing.fold(0, FaultMade("release", ""))
    assert read(drawing)["pairs"] == []


def test_the_map_follows_links_and_hosts_that_come_later(network, monkeypatch):
    monkeypatch.setattr(node_map, "LINKS_PER_STEP", 2)
    drawing = NodeMap(network)
    read(drawing)
    late = network.add_host("late")
    network.make_route(late, network.hosts["tracker"])
    told = read(drawing)
    assert told["names"][-1] == "late"
    assert told["links"] == 7


def test_busy_pairs_are_told_with_what_arrived_since_the_last_reading(network):
    drawing = NodeMap(network)
    read(drawing)
    there, back = network.hosts["tracker"].routes, network.hosts["node-0"].routes
    for route, count in ((there[network.hosts["node-0"]], 3), (back[network.hosts["tracker"]], 2)):
        for number in range(count):
            network.fates.received(route.link_id, number, 0, 1000)
    told = read(drawing)
    assert told["pairs"] == [[0, 1, 5, 0, 0.1]]
    assert told["busy"] == [2, 3, 0]
    assert read(drawing)["pairs"] == []


def test_beyond_some_nodes_only_sums_are_told(network, monkeypatch):
    monkeypatch.setattr(node_map, "MOST_DRAWN_NODES", 1)
    assert read(NodeMap(network))["pairs"] is None
