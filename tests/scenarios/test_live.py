"""Controls of a running network, without a run around it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import ConfigError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.network import Network
from netem.virtual_time import VirtualTime
from scenarios import live_controls as c
from scenarios.live import Live

FIRST = LinkConfig((Delay(0.01),))


def a_network(told=None):
    on_fault = None if told is None else lambda kind, what: told.append(kind)
    network = Network(VirtualTime(), run_seed=1, default_link=FIRST, on_fault=on_fault)
    for name in ("tracker", "node-0", "node-1", "node-2"):
        network.add_host(name)
    return network


def state(network):
    return Live(network).do(c.Show()).data


def test_links_are_set_one_way_both_ways_and_all_and_cleared_again():
    network = a_network()
    live, untouched = Live(network), state(network)
    live.do(c.SetLinks("loss 5%", ["node-0"], ["node-1"]))
    assert network.links.config(("node-0", "node-1")) == LinkConfig((Loss(0.05),))
    assert network.links.config(("node-1", "node-0")) == FIRST
    live.do(c.SetLinks("loss 2%", ["node-*"], ["tracker"], both_ways=True))
    assert network.links.config(("tracker", "node-2")) == LinkConfig((Loss(0.02),))
    live.do(c.SetLinks("delay 0ms"))
    assert network.links.config(("node-0", "node-1")).mean_delay_s() == 0
    live.do(c.SetLinks("none", source=["node-0"]))
    assert network.links.config(("node-0", "tracker")) == LinkConfig()
    live.do(c.ClearLinks(["node-0"], ["tracker"], both_ways=True))
    assert network.links.config(("node-0", "tracker")) == network.links.config(("tracker", "node-0")) == FIRST
    assert state(network)["all"] == "delay 0ms"
    live.do(c.ClearLinks())
    assert state(network) == untouched


def test_partitions_and_holds_made_by_hand_end_by_hand_and_leave_others_alone():
    network = a_network()
    live = Live(network)
    with network.partition("node-0", "node-1"):
        live.do(c.Partition(["node-2"]))
        live.do(c.Hold(["node-0"], ["node-1", "node-2"], one_way=True))
        shown = state(network)
        assert len(shown["cut"]) == 2 + 6
        assert shown["held"] == [("node-0", "node-1"), ("node-0", "node-2")]
        assert live.do(c.Heal()).said == ["1 partition ended"]
        assert live.do(c.Release()).data == {"ended": 1}
        assert state(network)["cut"] == [("node-0", "node-1"), ("node-1", "node-0")]
        assert live.do(c.Heal()).said == ["0 partitions ended"]


def test_hosts_crash_restart_pause_and_resume():
    network = a_network()
    live = Live(network)
    live.do(c.Crash(["node-1", "node-2"]))
    live.do(c.Pause(["tracker"]))
    shown = state(network)
    assert (shown["down"], shown["paused"]) == (["node-1", "node-2"], ["tracker"])
    live.do(c.Restart(["node-[12]"]))
    live.do(c.Resume(["tracker"]))
    shown = state(network)
    assert (shown["down"], shown["paused"]) == ([], [])


def test_streams_are_reset_and_left_half_open():
    told = []
    live = Live(a_network(told))
    live.do(c.ResetStreams("node-0", "tracker"))
    live.do(c.HalfOpen("tracker", "node-0"))
    assert told == ["reset", "half_open"]


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (
            c.SetLinks("loss 5%", ["node-7"]),
            "host: 'node-7' is not allowed; allowed: a name or pattern of tracker, node-0",
        ),
        (c.SetLinks("loss -5%"), "loss: '-5%' is not allowed"),
        (c.ClearLinks(["z*"]), "host: 'z*' is not allowed"),
        (c.Partition(["node-0"], ["node-*"]), "partition: ['node-0'] is not allowed; allowed: no host on both sides"),
        (c.Crash(["*"]), "crash: 'tracker' is not allowed; allowed: nodes"),
        (c.Restart(["node-0"]), "restart: 'node-0' is not allowed; allowed: a host that is down"),
        (c.Resume(["node-0"]), "resume: 'node-0' is not allowed; allowed: a host that is paused by hand"),
        (c.ResetStreams("node-0", "z"), "host: 'z' is not allowed"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_changed(control, message):
    told = []
    network = a_network(told)
    with pytest.raises(ConfigError) as caught:
        Live(network).do(control)
    assert str(caught.value).startswith(message)
    assert told == []


def test_every_control_has_a_method():
    assert set(Live(a_network())._methods) == set(c.Control.__subclasses__())


@given(
    st.builds(c.SetLinks, st.text(), st.none() | st.lists(st.text(max_size=9), min_size=1), st.none(), st.booleans())
)
def test_a_control_travels_as_json(control):
    assert c.decode_control(c.encode(control)) == control
    assert json.loads(c.encode(control))["do"] == "set"
