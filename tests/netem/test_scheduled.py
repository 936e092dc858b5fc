"""Links that flap and hosts that come and go, in virtual time."""

from __future__ import annotations

import math

import pytest
import trio

from netem.errors import ConfigError
from netem.network import Network
from netem.sessions import Session
from netem.virtual_time import VirtualTime


def two(network):
    got = []
    ends = [network.add_host(name).open_udp(lambda data, source: got.append(trio.current_time())) for name in "ab"]
    return ends, got


async def send_until(ends, until_s, *, every_s=0.1):
    while trio.current_time() < until_s:
        ends[0].send(b"x", ends[1].address)
        await trio.sleep(every_s)


def test_a_flapping_link_is_cut_first_and_open_for_its_share(run_virtual):
    async def program(network, nursery):
        ends, got = two(network)
        with network.flap("a", "b", period_s=2, open_share=0.25):
            await trio.sleep(0.05)
            await send_until(ends, 10)
        assert all(time_s % 2 > 1.5 for time_s in got)
        assert len(got) == 25
        await trio.sleep(0.05)
        ends[0].send(b"x", ends[1].address)
        await trio.sleep(0.01)
        assert len(got) == 26

    run_virtual(program)


def test_random_flapping_is_the_same_for_the_same_seed_and_has_its_share(run_virtual):
    heard = []

    async def program(network, nursery):
        ends, got = two(network)
        with network.flap("a", "b", period_s=1, open_share=0.7, random=True, one_way=True):
            await send_until(ends, 1_000, every_s=0.25)
        heard.append(got)

    run_virtual(program)
    run_virtual(program)
    assert heard[0] == heard[1]
    # The open share over n periods has a variance of 2 (s (1 - s))^2 / n (alternating renewals, exponential).
    assert abs(len(heard[0]) / 4_000 - 0.7) < 5 * 0.21 * math.sqrt(2 / 1_000)


def test_churn_crashes_and_restarts_by_the_sessions_and_leaves_everybody_up(run_virtual):
    told = []
    sessions = [Session("a", 0, 2), Session("a", 5, 7), Session("a", 7, math.inf), Session("b", 3, 4)]

    async def program(network, nursery):
        for name in "abc":
            network.add_host(name)
        await trio.sleep(1)
        with network.churn(sessions):
            await trio.sleep(8)
            assert [network.hosts[name].up for name in "abc"] == [True, False, True]
        assert network.hosts["b"].up
        await trio.sleep(100)

    run_virtual(program, on_fault=lambda kind, what: told.append((round(trio.current_time(), 3), kind, what)))
    assert told == [
        (1, "churn", "2 hosts, 4 sessions"),
        (1, "crash", "b"),
        (3, "crash", "a"),
        (4, "restart", "b"),
        (5, "crash", "b"),
        (6, "restart", "a"),
        (8, "crash", "a"),
        (8, "restart", "a"),
        (9, "restart", "b"),
    ]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda network: network.flap("a", "b", period_s=0), "flap period_s"),
        (lambda network: network.flap("a", "b", period_s=math.inf), "flap period_s"),
        (lambda network: network.flap("a", "b", period_s=1, open_share=1), "flap open_share"),
        (lambda network: network.flap("a", "a", period_s=1), "flap"),
        (lambda network: network.flap("a", "z", period_s=1), "host"),
        (lambda network: network.churn([Session("z", 0, 1)]), "host"),
        (lambda network: network.churn([Session("a", -1, 1)]), "churn session"),
        (lambda network: network.churn([Session("a", 0, math.nan)]), "churn session"),
        (lambda network: network.churn([Session("a", 2, 4), Session("b", 0, 9), Session("a", 0, 3)]), "churn session"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(wrong, field):
    told = []
    network = Network(VirtualTime(), run_seed=1, on_fault=lambda *fault: told.append(fault))
    network.add_host("a")
    network.add_host("b")
    with pytest.raises(ConfigError) as caught:
        wrong(network)
    assert caught.value.field == field
    assert told == []
