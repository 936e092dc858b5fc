"""Pure: the certificate passes honest runs, and voids runs that are not what was configured."""

import dataclasses
import json

import pytest

from netem.certificate import Conservation, LinkCount, certify
from netem.fates import Cause, no_drops
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.latency import LatencyHistogram
from netem.link import Exposure, Link, LinkConfig
from netem.randomness import BlockUniforms

NOW_NS = 10**18
HONEST = LinkConfig((Loss(0.05), Delay(0.05, 0.01, "normal")))
BURSTY = LinkConfig((GilbertElliott.from_loss(0.1, 5.0), Delay(0.02, 0.03), Duplicate(0.02)))


def run_link(config, packets, *, run_seed=1, source="a", told=None):
    """Run one link; `told` is the configuration that the certificate is told, if it is another one."""
    link = Link(config, source=source, target="b", uniforms=BlockUniforms(run_seed), link_id=0)
    received = delay_sum_ns = 0
    for _ in range(packets):
        if link.verdict(NOW_NS, 1200) > 0:
            received += 1
            delay_sum_ns += link.delay_ns
        if link.copy_at:
            received += 1
            delay_sum_ns += link.copy_delay_ns
    return LinkCount(
        source=source,
        target="b",
        exposures=(Exposure(told or config, packets),),
        copies=link.duplicated,
        received=received,
        dropped_later=0,
        in_flight=0,
        own_delay_sum_ns=delay_sum_ns,
    )


def conserve(links, **changes):
    dropped = no_drops()
    dropped[Cause.LOSS] = sum(count.lost for count in links)
    honest = Conservation(
        sent=sum(count.packets for count in links),
        copies=sum(count.copies for count in links),
        delivered=sum(count.received for count in links),
        dropped=tuple(dropped),
        in_flight=0,
    )
    return dataclasses.replace(honest, **changes)


def judge(links, *, late_ns=(), lag_ns=(), **changes):
    lateness, lag = LatencyHistogram(), LatencyHistogram()
    for duration in late_ns:
        lateness.add(duration)
    for duration in lag_ns:
        lag.add(duration)
    return certify(links, conservation=conserve(links, **changes), lateness=lateness, lag=lag)


def test_honest_runs_pass():
    # 10^-4 of honest runs fail at most, so 100 of them all pass but with probability 1 %.
    for run_seed in range(100):
        links = [
            run_link(config, packets, run_seed=run_seed, source=f"n{index}")
            for index, (config, packets) in enumerate(
                [(HONEST, 300), (BURSTY, 700), (HONEST, 3), (LinkConfig(), 20), (BURSTY, 1)]
            )
        ]
        certificate = judge(links)
        assert certificate.valid, certificate.reasons
        assert certificate.loss.ok
        assert certificate.delay_s.ok
        assert certificate.links == 5


@pytest.mark.parametrize("config", [HONEST, BURSTY])
def test_a_loss_off_by_the_stated_tolerance_is_noticed(config):
    packets = 20_000
    tolerance = judge([run_link(config, packets)]).loss.tolerance
    # A binomial link at 5 % must notice a fifth; bursts of five are ten times as uncertain in variance.
    assert tolerance < (0.011 if config is HONEST else 0.045)
    for rate in (config.loss_rate() + 1.8 * tolerance, config.loss_rate() - 1.8 * tolerance):
        off = LinkConfig((Loss(max(rate, 0.0)), *config.impairments[1:]))
        certificate = judge([run_link(off, packets, told=config)])
        assert not certificate.valid
        assert not certificate.loss.ok
        assert "a > b lost" in certificate.reasons[0]


def test_a_deviation_too_small_for_one_link_shows_over_all_of_them():
    off = LinkConfig((Loss(0.065), *HONEST.impairments[1:]))
    links = [run_link(off, 500, source=f"n{index}", told=HONEST) for index in range(60)]
    assert judge(links[:1]).valid
    certificate = judge(links)
    assert not certificate.valid
    assert certificate.reasons[-1].startswith("loss over all links is 0.06")


def test_one_wrong_link_among_many_is_named():
    links = [run_link(HONEST, 400, source=f"n{index}") for index in range(30)]
    links.append(run_link(LinkConfig((Loss(0.2), *HONEST.impairments[1:])), 400, source="odd", told=HONEST))
    certificate = judge(links)
    assert not certificate.valid
    assert certificate.reasons[0].startswith("odd > b lost")


def test_a_wrong_delay_is_noticed_and_one_within_the_measured_lateness_is_not():
    link = run_link(HONEST, 4000)
    shifted = dataclasses.replace(link, own_delay_sum_ns=link.own_delay_sum_ns + link.received * 3_000_000)
    assert judge([link]).valid
    certificate = judge([shifted])
    assert not certificate.valid
    assert not certificate.delay_s.ok
    assert "delayed" in certificate.reasons[0]
    assert judge([shifted], late_ns=[3_000_000] * 4000).valid


def test_packets_in_flight_and_dropped_later_are_not_losses():
    link = run_link(HONEST, 4000)
    moved = dataclasses.replace(link, received=link.received - 500, dropped_later=400, in_flight=100)
    moved = dataclasses.replace(moved, own_delay_sum_ns=moved.own_delay_sum_ns * moved.received // link.received)
    assert moved.lost == link.lost
    assert judge([moved], delivered=link.received, in_flight=0).valid
    assert not judge([dataclasses.replace(moved, dropped_later=0)], delivered=link.received).valid


def test_a_mean_without_the_slow_packets_still_in_flight_is_no_wrong_delay():
    config = LinkConfig((Delay(0.05, 0.01, "normal"),))
    link = Link(config, source="a", target="b", uniforms=BlockUniforms(1), link_id=0)
    delays_ns = sorted(link.verdict(0, 100) for _ in range(4000))
    slow = LinkCount(
        "a",
        "b",
        link.exposures(),
        0,
        received=3200,
        dropped_later=0,
        in_flight=800,
        own_delay_sum_ns=sum(delays_ns[:3200]),
    )
    assert judge([slow], in_flight=800).valid
    lost_slow = dataclasses.replace(slow, in_flight=0, dropped_later=800)
    assert "delayed" in judge([lost_slow], in_flight=800).reasons[0]


def test_links_whose_delay_changed_live_are_judged_by_their_loss_only():
    link = run_link(HONEST, 4000)
    other = LinkConfig((Loss(0.05), Delay(0.2)))
    changed = dataclasses.replace(link, exposures=(Exposure(HONEST, 2000), Exposure(other, 2000)), own_delay_sum_ns=0)
    certificate = judge([changed])
    assert certificate.valid
    assert certificate.delays_unjudged == 1
    assert not certificate.delay_s.ok


def test_nothing_to_judge_is_said():
    certificate = judge([])
    assert certificate.valid
    assert not certificate.loss.ok
    assert certificate.to_dict()["loss"]["note"] == "nothing to judge"
    assert certificate.loss.realised is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lag_ns": [11_000_000] * 100}, "lagged"),
        # Five seconds are less than a hundredth of an hour, and stop every download.
        ({"lag_ns": [100_000] * 360_000 + [5_000_000_000]}, "stood still for 5.0 s"),
        ({"late_ns": [12_000_000] * 100}, "departures late"),
        ({"in_flight": 1}, "not conserved: -1"),
        ({"sent": 4001}, "not conserved: 1"),
    ],
)
def test_a_host_that_did_not_keep_up_voids_the_run(changes, reason):
    certificate = judge([run_link(HONEST, 4000)], **changes)
    assert not certificate.valid
    assert reason in certificate.reasons[0]


def test_kernel_drops_void_the_run_beyond_one_in_ten_thousand():
    link = run_link(HONEST, 20_000)
    for drops, valid in ((2, True), (3, False)):
        missing = dataclasses.replace(link, received=link.received - drops)
        dropped = no_drops()
        dropped[Cause.LOSS] = link.lost
        dropped[Cause.KERNEL] = drops
        certificate = judge([missing], dropped=tuple(dropped))
        assert certificate.valid is valid
        if not valid:
            assert "kernel dropped 3" in certificate.reasons[0]


def test_the_numbers_are_plain_values_for_the_result_file():
    certificate = judge([run_link(HONEST, 1000)], late_ns=[1_000_000], lag_ns=[2_000_000])
    numbers = json.loads(json.dumps(certificate.to_dict()))
    assert numbers["valid"] is True
    assert numbers["sent"] == 1000
    assert numbers["dropped"]["loss"] == 1000 - numbers["delivered"]
    assert numbers["loss"]["configured"] == pytest.approx(0.05)
    assert numbers["lag_p99_s"] == pytest.approx(0.002)
