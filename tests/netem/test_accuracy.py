"""trio: over real sockets, delays have the configured distribution, in each direction its own."""

import pytest
import trio

from netem.clock import S
from netem.delay_histograms import edges_ns
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


def distance(sample, law, *, late_s):
    """Return the largest difference between the shares below a delay, seen later by `late_s` and by law."""
    below = sample.counts.cumsum()[:-1] / sample.packets
    return abs(below - law.share_below(edges_ns(sample.law) / S - late_s)).max()


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
        certificate = run_real(with_hosts).certificate()
    if any(word in reason for reason in certificate.reasons for word in ("lagged", "stood still", "departures late")):
        pytest.skip(f"this host was too busy to emulate in real time: {certificate.reasons}")
    assert certificate.valid, certificate.reasons
    late_s = certificate.to_dict()["lateness_p50_s"]
    there, back = sorted(certificate.report.samples, key=lambda sample: sample.law.mean_s)
    for sample, config in ((there, THERE), (back, BACK)):
        assert sample.impairments == config.impairments
        assert sample.packets > 100_000
        assert distance(sample, sample.law, late_s=late_s) < 0.02
    assert distance(there, back.law, late_s=late_s) > 0.5
    rows = {row["source"]: row for row in certificate.to_dict()["links"]["each"]}
    assert rows["a"]["loss"]["realised"] == pytest.approx(0.05, abs=0.01)
    assert rows["a"]["burst"]["realised"] == pytest.approx(3.0, abs=0.3)
    assert rows["b"]["loss"]["realised"] == pytest.approx(0.01, abs=0.003)
    assert rows["b"]["burst"]["realised"] == pytest.approx(1.01, abs=0.05)
