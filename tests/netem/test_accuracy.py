"""trio: over real sockets, delays have the configured distribution, in each direction its own."""

import math

import numpy as np
import pytest
import trio

from netem.clock import S
from netem.delay_histograms import edges_ns
from netem.host_time import HostTime
from netem.impairments.delay import Delay
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from scenarios.process import rare_collections

PACKETS = 110_000
PER_TICK = 10  # at 4,000 packets a second in all a slow core still takes each in when it comes
TICK_S = 0.005
THERE = LinkConfig((GilbertElliott.from_loss(0.05, 3.0), Delay(0.03, 0.012)))
BACK = LinkConfig((Loss(0.01), Delay(0.06, 0.008, "normal")))
HOST = ("lagged", "stood still", "departures late", "the kernel dropped")  # what a busy host does to a run


def distance(sample, law, *, host):
    """Return how far the shares below a delay lie beyond what the law allows, and the host, which makes packets late."""
    below, edges_s = sample.counts.cumsum()[:-1] / sample.packets, edges_ns(sample.law) / S
    most = law.share_below(edges_s + host.early_s)
    least = [law.share_below(edges_s - late_s) - share for share, late_s in host.later(sample.packets)]
    return max((below - most).max(), (np.max(least, axis=0) - below).max())


def chance(packets):
    """Return how far the shares of so many packets lie from their law, but for once in a million times.

    Source: Dvoretzky, Kiefer and Wolfowitz, with Massart's constant.
    """
    return math.sqrt(math.log(2e6) / (2 * packets))


@pytest.mark.slow
def test_a_hundred_thousand_real_packets_each_way_have_their_own_law(run_real):
    async def program(network, _nursery):
        network.impair("a", "b", THERE)
        network.impair("b", "a", BACK)
        one, other = ends
        start = trio.current_time()
        for tick in range(PACKETS // PER_TICK):
            for _ in range(PER_TICK):
                one.send(b"there", other.address)
                other.send(b"back again", one.address)
            await trio.sleep_until(start + (tick + 1) * TICK_S)
        await trio.sleep(0.2)

    ends = []

    async def with_hosts(network, nursery):
        ends.extend(network.add_host(name).open_udp(lambda *_: None) for name in "ab")
        await program(network, nursery)

    with rare_collections():  # as every run has it
        network = run_real(with_hosts)
    certificate = network.certificate()
    if any(word in reason for reason in certificate.reasons for word in HOST):
        pytest.skip(f"this host was too busy to emulate in real time: {certificate.reasons}")
    assert certificate.valid, certificate.reasons
    host = HostTime(network.fates.lateness, network.lag.histogram, total=certificate.conservation.delivered)
    there, back = sorted(certificate.report.samples, key=lambda sample: sample.law.mean_s)
    for sample, config in ((there, THERE), (back, BACK)):
        assert sample.impairments == config.impairments
        assert sample.packets > 100_000
        assert distance(sample, sample.law, host=host) < chance(sample.packets)
    assert distance(there, back.law, host=host) > 0.5
    rows = {row["source"]: row for row in certificate.to_dict()["links"]["each"]}
    assert rows["a"]["loss"]["realised"] == pytest.approx(0.05, abs=0.01)
    assert rows["a"]["burst"]["realised"] == pytest.approx(3.0, abs=0.3)
    assert rows["b"]["loss"]["realised"] == pytest.approx(0.01, abs=0.003)
    assert rows["b"]["burst"]["realised"] == pytest.approx(1.01, abs=0.05)
