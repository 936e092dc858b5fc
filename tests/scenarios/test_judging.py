"""A run is judged on the way as it would be at its end, without a copy of what it knows and without a long step."""

from __future__ import annotations

import dataclasses

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from netem import accounts
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.network import Network
from netem.virtual_time import VirtualTime
from scenarios import judging
from scenarios.catalogue import scenario_named
from scenarios.claims import Prefix
from scenarios.judging import Judge
from scenarios.options import Options
from scenarios.parameters import fill


@given(
    st.lists(st.integers()), st.integers(0, 20), st.integers(-25, 25), st.slices(20)
)  # Sequence's own mixins do the rest
def test_a_prefix_is_like_the_list_it_began_as_however_that_grows(before, added, index, part):
    elements = list(before)
    prefix = Prefix(elements, len(before))
    elements += range(added)
    assert list(prefix) == before
    assert len(prefix) == len(before)
    assert list(prefix[part]) == before[part]
    assert bool(prefix) == bool(before)
    if -len(before) <= index < len(before):
        assert prefix[index] == before[index]
    else:
        with pytest.raises(IndexError):
            prefix[index]


async def _talk(network):
    """Send among five hosts, over a link that loses, until some datagrams lie on their way."""
    ends = [network.add_host(name).open_udp(lambda *_: None) for name in "abcde"]
    for number in range(300):
        ends[number % 5].send(b"x", ends[number * 3 % 5 - 1].address)


def _network():
    clock = VirtualTime()
    network = Network(clock, run_seed=1, default_link=LinkConfig((Loss(0.2),)))

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clock.run)
            await nursery.start(network.run)
            await _talk(network)
            await trio.sleep(1)
            await _talk_again(network)
            nursery.cancel_scope.cancel()

    async def _talk_again(network):
        hosts = list(network.hosts.values())
        hosts[0].endpoints[0].send(b"y", hosts[1].endpoints[0].address)

    trio.run(main, clock=clock)
    return network


def test_an_account_that_is_counted_in_steps_is_the_whole_one(monkeypatch):
    monkeypatch.setattr(judging, "LINKS_PER_STEP", 2)
    network = _network()
    steps = list(judging._counted(network))
    assert len(steps) >= 4
    merged, whole = accounts.merge(steps), network.account()
    assert merged.conservation == whole.conservation
    assert merged.links == whole.links
    assert merged.foreign == whole.foreign
    assert merged.certificate().to_dict() == whole.certificate().to_dict()


class FakeBed:
    """As much of a testbed as judging needs."""

    def __init__(self, network):
        self.network = network
        self.clock = network.clock
        self.facts = {}


def _judge():
    scenario = scenario_named("flash-crowd")
    seen = []

    def claims(record):
        seen.append(record)
        return []

    params = fill(scenario.params, {})
    return Judge(dataclasses.replace(scenario, claims=claims), params, options=Options(), own_code=()), seen


async def test_what_lies_between_two_sockets_is_no_loss_on_the_way(monkeypatch):
    judge, _ = _judge()
    network = Network(VirtualTime(), run_seed=1)
    one, other = (network.add_host(name).open_udp(lambda *_: None) for name in "ab")
    one.send(b"x", other.address)
    counted = judging._counted

    def missing_one(counted_network):
        for part in counted(counted_network):
            yield dataclasses.replace(part, conservation=dataclasses.replace(part.conservation, in_flight=0))

    monkeypatch.setattr(judging, "_counted", missing_one)
    assert (await judge.so_far(FakeBed(network))).reasons == ()


async def test_with_too_many_links_claims_are_judged_at_the_end_and_it_says_so(monkeypatch):
    monkeypatch.setattr(judging, "MOST_LINKS", 2)
    judge, seen = _judge()
    judgement = await judge.so_far(FakeBed(_network_of_routes(3)))
    assert "judged at the end only: 3 links" in judgement.note
    assert not seen


def _network_of_routes(count):
    network = Network(VirtualTime(), run_seed=1)
    hosts = [network.add_host(f"h{number}") for number in range(count + 1)]
    for host in hosts[1:]:
        network.make_route(hosts[0], host)
    return network


async def test_the_cost_of_judging_is_told():
    judge, seen = _judge()
    judgement = await judge.so_far(FakeBed(_network_of_routes(3)))
    assert 0 < judgement.cpu_s < 5
    assert len(seen) == 1
