"""The network's own metrics against its account of every packet, in virtual time."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from netem import reader
from netem.certificate import MAX_LAG_NS, MAX_LATE_NS
from netem.clock import S
from netem.fates import Cause
from netem.faults import KINDS, FaultMade
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.latency import OCTAVES_S, LatencyHistogram
from netem.link import LinkConfig
from netem.metrics.datagrams import Datagrams
from netem.metrics.faults import Faults
from netem.metrics.timeliness import Timeliness

LOSSY, LOSSIER = (LinkConfig((Loss(loss), Delay(delay_s))) for loss, delay_s in ((0.1, 0.02), (0.5, 0.04)))
PACKETS = 400


def gathered(family):
    for _ in family.gather(0):
        pass
    return family


def by_fate(family):
    series = family.series["swarmbed_netem_datagrams_total"]
    return {labels[0][1]: value for (_, labels), value in zip(series.keys, series.values, strict=True)}


async def chatter(network, family):
    """Send from each of three hosts to the others, then again under another law and a partition; read now and then."""
    ends = [network.add_host(name).open_udp(lambda data, source: None) for name in "abc"]
    for config in (LOSSY, LOSSIER):
        network.impair_all(config)
        for number in range(PACKETS):
            for end in ends:
                for other in ends:
                    if other is not end:
                        end.send(b"x", other.address)
            if number % 100 == 0:
                gathered(family)
        await trio.sleep(1)
        gathered(family)
    with network.partition(["a"], ["b"]):
        ends[0].send(b"x", ends[1].address)
    ends[0].send(b"x", ("127.9.9.9", 1))


@pytest.mark.parametrize("step", [1, 4, 500])
def test_datagrams_are_those_of_the_account_whatever_the_slices(run_virtual, monkeypatch, step):
    monkeypatch.setattr(reader, "LINKS_PER_STEP", step)
    family = Datagrams()

    async def program(network, nursery):
        family.attach("network", network)
        await chatter(network, family)

    network = run_virtual(program, default_link=LOSSY)
    gathered(family)
    kept = network.conservation()
    assert family.value("swarmbed_netem_sent_datagrams_total") == kept.sent == 12 * PACKETS + 2
    fates = by_fate(family)
    assert fates.pop("delivered") == kept.delivered
    assert fates == {cause.name.lower(): kept.dropped[cause] for cause in Cause}
    assert fates["partition"] == fates["destination_down"] == 1
    assert family.value("swarmbed_netem_links") == 6
    exposed = family.value("swarmbed_netem_exposed_datagrams_total")
    assert exposed == 12 * PACKETS
    assert family.value("swarmbed_netem_lost_datagrams_total") == fates["loss"] == exposed - kept.delivered


def test_theory_follows_live_changes_of_the_links(run_virtual):
    family = Datagrams()

    async def program(network, nursery):
        family.attach("network", network)
        await chatter(network, family)

    network = run_virtual(program, default_link=LOSSY)
    gathered(family)
    predicted = family.value("swarmbed_netem_lost_datagrams_predicted_total")
    assert predicted == pytest.approx(6 * PACKETS * (0.1 + 0.5))
    # Two binomials: four standard deviations.
    spread = (6 * PACKETS * (0.1 * 0.9 + 0.5 * 0.5)) ** 0.5
    assert family.value("swarmbed_netem_lost_datagrams_total") == pytest.approx(predicted, abs=4 * spread)
    realised_s = family.value("swarmbed_netem_delay_seconds_total")
    assert realised_s == pytest.approx(network.fates.totals().delay_sum_ns / S)
    assert family.value("swarmbed_netem_delay_predicted_seconds_total") == pytest.approx(realised_s)


def test_losses_never_fall_though_packets_between_two_sockets_are_missing_for_a_moment(run_virtual):
    family = Datagrams()

    async def program(network, nursery):
        family.attach("network", network)
        await chatter(network, family)
        gathered(family)
        lost = family.value("swarmbed_netem_lost_datagrams_total")
        network.routes[0].link.duplicated -= 50  # as if 50 more had been received since
        gathered(family)
        assert family.value("swarmbed_netem_lost_datagrams_total") == lost

    run_virtual(program)


def test_a_family_whose_part_is_not_there_yet_has_nothing_to_read():
    for kind in (Datagrams, Timeliness):
        assert not list(kind().gather(0))


def test_lateness_and_lag_are_told_against_what_a_valid_run_may_have(run_virtual):
    family = Timeliness()

    async def program(network, nursery):
        for _ in range(99):
            network.lag.histogram.add(1_000_000)
            network.fates.lateness.add(20_000_000)
        network.lag.histogram.add(2_000_000)
        family.attach("network", network)

    run_virtual(program)
    gathered(family)
    used = dict(
        zip(("lag", "hang", "late", "kernel"), family.series["swarmbed_fidelity_used_ratio"].values, strict=True)
    )
    # A quantile is at most 9 % too high.
    assert 1_000_000 / MAX_LAG_NS <= used["lag"] <= 1.09 * 1_000_000 / MAX_LAG_NS
    assert used["hang"] == 0.001
    assert used["late"] == 20_000_000 / MAX_LATE_NS
    assert used["kernel"] == 0
    values = family.bins("swarmbed_event_loop_lag_seconds").values
    assert values[-2:] == [100, pytest.approx(0.101)]


@given(st.lists(st.integers(0, 200 * 10**9), max_size=50))
def test_octaves_count_what_is_up_to_each_edge(durations_ns):
    histogram = LatencyHistogram()
    for duration_ns in durations_ns:
        histogram.add(duration_ns)
    cumulative = np.cumsum(histogram.by_octave()).tolist()
    expected = [sum(duration_ns <= round(edge * S) for duration_ns in durations_ns) for edge in OCTAVES_S]
    assert cumulative == [*expected, len(durations_ns)]
    assert histogram.sum_ns == sum(durations_ns)


def test_every_fault_the_network_makes_is_counted_with_its_time(run_virtual):
    told = []

    async def program(network, nursery):
        network.add_host("a")
        network.add_host("b")
        network.impair_all(LOSSY)
        network.crash("a")
        network.restart("a")
        for guard in (
            network.partition("a", "b"),
            network.hold("a", "b"),
            network.impair("a", "b", "none"),
            network.flap("a", "b", period_s=5),
            network.pause("a"),
            network.skew("a", offset_s=1),
            network.churn([]),
        ):
            guard.end()
        network.reset_streams("a", "b")
        network.half_open("a", "b")

    run_virtual(program, on_fault=lambda kind, what: told.append(kind))
    assert sorted(set(told)) == sorted(KINDS)
    family = Faults()
    fold = family.folds()[FaultMade]
    for time_s, kind in enumerate(KINDS, start=1):
        fold(time_s * S, FaultMade(kind, "a"))
    fold(9 * S, FaultMade("crash", "b"))
    assert family.value("swarmbed_faults_total", "crash") == 2
    assert family.value("swarmbed_fault_timestamp_seconds", "crash") == 9
    assert family.value("swarmbed_fault_timestamp_seconds", "impair") == 1
