"""Pure: the certificate passes honest runs, and voids runs that are not what was configured."""

import json

import numpy as np
import pytest

from netem import certificate as certificates
from netem.certificate import certify
from netem.fates import Cause, no_drops
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.latency import LatencyHistogram
from netem.link import LinkConfig

HONEST = LinkConfig((Loss(0.05), Delay(0.05, 0.01, "normal")))
BURSTY = LinkConfig((GilbertElliott.from_loss(0.1, 5.0), Delay(0.02, 0.03), Duplicate(0.02)))
RATED = LinkConfig((Loss(0.01), Delay(0.01, 0.002)), rate_bytes_per_s=10e6, queue_bytes=10**9)
MS = 1_000_000


def histogram(durations_ns):
    made = LatencyHistogram()
    for duration_ns in durations_ns:
        made.add(duration_ns)
    return made


def judge(links, *, late_ns=(), lag_ns=(), **changes):
    account = links.account(**changes)
    account.lateness, account.lag = histogram(late_ns), histogram(lag_ns)
    return account.certificate()


def late_by(shift_ns):
    return lambda arrivals: [(at + shift_ns, number, delay + shift_ns) for at, number, delay in arrivals]


def test_honest_runs_pass(pure_links):
    # 10^-4 of honest runs fail at most, so 40 of them all pass but with probability 0.4 %.
    for run_seed in range(40):
        links = pure_links(run_seed=run_seed)
        for index, (config, packets) in enumerate(
            [(HONEST, 300), (BURSTY, 700), (HONEST, 3), (LinkConfig(), 20), (BURSTY, 1), (RATED, 200)]
        ):
            links.carry(config, packets, source=f"n{index}")
        certificate = links.certificate()
        assert certificate.valid, certificate.reasons
        assert certificate.loss.ok
        assert certificate.delay_s.ok
        assert certificate.links == 6


@pytest.mark.slow
def test_of_honest_rows_no_more_are_wrong_than_the_level_says(pure_links, monkeypatch):
    # At a level at which something must happen: each row may be wrong with probability 20 / tests.
    monkeypatch.setattr(certificates, "FAMILY_LEVEL", 20.0)
    wrong: dict[str, int] = {}
    rows: dict[str, int] = {}
    expected: dict[str, float] = {}
    for run_seed in range(60):
        links = pure_links(run_seed=run_seed)
        for index, config in enumerate((HONEST, BURSTY, RATED)):
            links.carry(config, 1500, source=f"n{index}")
        report = links.certificate().report
        for verdicts in (*report.by_link, *report.by_class):
            wrong[verdicts.name] = wrong.get(verdicts.name, 0) + int(verdicts.wrong.sum())
            rows[verdicts.name] = rows.get(verdicts.name, 0) + int(verdicts.judged.sum())
            expected[verdicts.name] = expected.get(verdicts.name, 0.0) + float(verdicts.judged.sum()) * report.level
    assert 0 < sum(wrong.values()) < sum(expected.values())  # the bounds are not empty, and hold
    for name, count in wrong.items():
        assert count <= expected[name] + 4.0 * np.sqrt(expected[name]), (name, count, rows[name])


@pytest.mark.parametrize("config", [HONEST, BURSTY])
def test_a_loss_off_by_the_stated_tolerance_is_noticed(config, pure_links):
    packets = 20_000
    honest = pure_links()
    honest.carry(config, packets)
    tolerance = honest.certificate().loss.tolerance
    # A binomial link at 5 % must notice a fifth; bursts of five are ten times as uncertain in variance.
    assert tolerance < (0.011 if config is HONEST else 0.045)
    for rate in (config.loss_rate() + 1.8 * tolerance, config.loss_rate() - 1.8 * tolerance):
        off = LinkConfig((Loss(max(rate, 0.0)), *config.impairments[1:]))
        links = pure_links()
        links.carry(off, packets, told=config)
        certificate = links.certificate()
        assert not certificate.valid
        assert not certificate.loss.ok
        assert certificate.reasons[0].startswith("loss of a > b is ")


def test_a_deviation_too_small_for_one_link_shows_over_all_of_them(pure_links):
    off = LinkConfig((Loss(0.065), *HONEST.impairments[1:]))
    links = pure_links()
    links.carry(off, 500, told=HONEST)
    assert links.certificate().valid
    for index in range(60):
        links.carry(off, 500, source=f"n{index}", told=HONEST)
    certificate = links.certificate()
    assert not certificate.valid
    assert certificate.reasons[0].startswith(
        "loss of all links with loss 5% delay 50ms 10ms distribution normal is 0.06"
    )
    assert certificate.reasons[-1].startswith("loss over all links is 0.06")


def test_one_wrong_link_among_many_is_named(pure_links):
    links = pure_links()
    for index in range(30):
        links.carry(HONEST, 400, source=f"n{index}")
    links.carry(LinkConfig((Loss(0.2), *HONEST.impairments[1:])), 400, source="odd", told=HONEST)
    certificate = links.certificate()
    assert not certificate.valid
    assert certificate.reasons[0].startswith("loss of odd > b is ")


def test_a_wrong_delay_is_noticed_and_one_within_the_measured_lateness_is_not(pure_links):
    shifted = pure_links()
    shifted.carry(HONEST, 4000, falsify=late_by(3 * MS))
    certificate = shifted.certificate()
    assert not certificate.valid
    assert not certificate.delay_s.ok
    assert certificate.reasons[0].startswith("delay of a > b is 0.053")
    assert judge(shifted, late_ns=[3 * MS] * 4000).valid


def test_a_tail_that_the_host_made_is_known_from_its_lateness(pure_links):
    def late_now_and_then(arrivals):
        late = [late_by((number % 110 == 0) * 9 * MS)([(at, number, delay)])[0] for at, number, delay in arrivals]
        return sorted(late)

    config = LinkConfig((Delay(0.05, 0.002),))
    links = pure_links()
    links.carry(config, 11_000, falsify=late_now_and_then, every_ns=10 * MS)
    assert any(reason.startswith("jitter of a > b") for reason in links.certificate().reasons)
    certificate = judge(links, late_ns=([9 * MS] + [0] * 109) * 100)
    assert certificate.valid, certificate.reasons


def test_packets_in_flight_and_dropped_later_are_not_losses(pure_links):
    links = pure_links()
    route = links.carry(HONEST, 4000, falsify=lambda arrivals: arrivals[:-500])
    assert not links.certificate().valid
    route.link.dropped[Cause.DESTINATION_DOWN] += 400
    route.in_flight = 100
    certificate = links.certificate()
    assert certificate.valid, certificate.reasons


def test_a_mean_without_the_slow_packets_still_in_flight_is_no_wrong_delay(pure_links):
    def only_the_fast(arrivals):
        return sorted(sorted(arrivals, key=lambda arrival: arrival[2])[:3200])

    links = pure_links()
    route = links.carry(LinkConfig((Delay(0.05, 0.01, "normal"),)), 4000, falsify=only_the_fast)
    route.in_flight = 800
    assert links.certificate().valid
    route.in_flight = 0
    route.link.dropped[Cause.LIMIT] = 800  # which looks at no delay
    assert any(reason.startswith("delay of a > b") for reason in links.certificate().reasons)


def test_links_that_changed_live_are_judged_by_what_each_packet_met(pure_links):
    links = pure_links()
    route = links.carry(HONEST, 4000)
    other = LinkConfig((Loss(0.05), Delay(0.2)))
    route.link.reconfigure(other)
    links.log.classify(0, other.impairments, law=other.delay_law, since=4000)
    route.link.verdict(10**18, 100)
    links.told[0] = other
    certificate = links.certificate()
    assert certificate.valid
    assert certificate.delays_unjudged == 1
    assert not certificate.delay_s.ok
    told = certificate.to_dict()["links"]
    assert told["changed"] == 1
    assert told["each"][0]["loss"]["ok"]
    assert told["each"][0]["delay"]["why"] == "the link's configuration changed during the run"
    # The packets before the change still show the distribution that they had.
    assert certificate.report.samples[0].packets > 3500


def test_nothing_to_judge_is_said(pure_links):
    certificate = pure_links().certificate()
    assert certificate.valid
    assert not certificate.loss.ok
    assert certificate.to_dict()["loss"]["note"] == "nothing to judge"
    assert certificate.loss.realised is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lag_ns": [11 * MS] * 100}, "lagged"),
        # Five seconds are less than a hundredth of an hour, and stop every download.
        ({"lag_ns": [MS // 10] * 360_000 + [5000 * MS]}, "stood still for 5.0 s"),
        ({"late_ns": [12 * MS] * 100}, "departures late"),
        ({"in_flight": 1}, "not conserved: -1"),
        ({"sent": 4001}, "not conserved: 1"),
    ],
)
def test_a_host_that_did_not_keep_up_voids_the_run(changes, reason, pure_links):
    links = pure_links()
    links.carry(HONEST, 4000)
    certificate = judge(links, **changes)
    assert not certificate.valid
    assert reason in certificate.reasons[0]


def test_kernel_drops_void_the_run_beyond_one_in_ten_thousand(pure_links):
    for drops, valid in ((2, True), (3, False)):
        links = pure_links()
        links.carry(HONEST, 20_000, falsify=lambda arrivals, drops=drops: arrivals[drops:])
        counted = links.account()
        dropped = no_drops()
        dropped[Cause.KERNEL] = drops
        dropped[Cause.LOSS] = 20_000 - counted.links[0].received - drops
        certificate = links.certificate(dropped=tuple(dropped))
        assert certificate.valid is valid, certificate.reasons
        if not valid:
            assert "kernel dropped 3" in certificate.reasons[0]


def test_reasons_from_elsewhere_come_first_and_alone(pure_links):
    links = pure_links()
    links.carry(LinkConfig(), 100, falsify=lambda arrivals: arrivals[:50])
    account = links.account()
    certificate = certify(
        account.links,
        conservation=account.conservation,
        lateness=histogram([]),
        lag=histogram([]),
        void=["the disk is full"],
    )
    assert certificate.reasons == ("the disk is full",)


def test_the_numbers_are_plain_values_for_the_result_file(pure_links):
    links = pure_links()
    links.carry(HONEST, 1000)
    certificate = judge(links, late_ns=[MS], lag_ns=[2 * MS])
    numbers = json.loads(json.dumps(certificate.to_dict()))
    assert numbers["valid"] is True
    assert numbers["sent"] == 1000
    assert numbers["dropped"]["loss"] == 1000 - numbers["delivered"]
    assert numbers["loss"]["configured"] == pytest.approx(0.05)
    assert numbers["lag_p99_s"] == pytest.approx(0.002)
