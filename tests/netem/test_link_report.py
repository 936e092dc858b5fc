"""Pure: every quantity of the certificate finds an emulator that gets it wrong, and says where it cannot judge."""

import json

import numpy as np
import pytest

from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.link import LinkConfig

PACKETS = 6000
BURSTS = LinkConfig((GilbertElliott.from_loss(0.05, 3.0), Delay(0.02)))
UNIFORM = LinkConfig((Delay(0.05, 0.01),))
COPIES = LinkConfig((Duplicate(0.1), Delay(0.01)))
RATE = LinkConfig((Delay(0.01),), rate_bytes_per_s=10e6, queue_bytes=10**9)


def swapped(arrivals):
    """Exchange every hundredth packet with the one before it."""
    numbers = [number for _, number, _ in arrivals]
    numbers[99::100], numbers[98::100] = numbers[98::100], numbers[99::100]
    return [(at, number, delay) for (at, _, delay), number in zip(arrivals, numbers, strict=True)]


def slower(arrivals):
    """Stretch time by a fiftieth, delays apart."""
    first = arrivals[0][0]
    return [(first + (at - first) * 51 // 50, number, delay) for at, number, delay in arrivals]


@pytest.mark.parametrize(
    ("quantity", "told", "done", "falsify"),
    [
        ("burst", BURSTS, LinkConfig((Loss(0.05), Delay(0.02))), list),
        ("burst", LinkConfig((Loss(0.05),)), LinkConfig((GilbertElliott.from_loss(0.05, 1.5),)), list),
        # The same mean and deviation in another shape.
        ("delay_distance", UNIFORM, LinkConfig((Delay(0.05, 0.01 / np.sqrt(3.0), "normal"),)), list),
        ("delay_p99", UNIFORM, LinkConfig((Delay(0.05, 0.01 / np.sqrt(3.0), "normal"),)), list),
        ("jitter", UNIFORM, LinkConfig((Delay(0.05, 0.011),)), list),
        ("delay", UNIFORM, LinkConfig((Delay(0.051, 0.01),)), list),
        ("delay_p50", UNIFORM, LinkConfig((Delay(0.052, 0.01),)), list),
        ("reorder", LinkConfig((Delay(0.01),)), LinkConfig((Delay(0.01),)), swapped),
        ("duplicates", COPIES, LinkConfig((Duplicate(0.07), Delay(0.01))), list),
        ("duplicates", LinkConfig((Delay(0.01),)), LinkConfig((Duplicate(0.001), Delay(0.01))), list),
        ("rate", RATE, LinkConfig((Delay(0.01),), rate_bytes_per_s=9.9e6, queue_bytes=10**9), list),
        ("rate", RATE, RATE, slower),
        ("loss", BURSTS, LinkConfig((GilbertElliott.from_loss(0.1, 3.0), Delay(0.02))), list),
    ],
)
def test_an_emulator_that_gets_it_wrong_is_found(quantity, told, done, *, falsify, pure_links):
    honest, wrong = pure_links(), pure_links()
    honest.carry(told, PACKETS)
    assert honest.certificate().valid, honest.certificate().reasons
    wrong.carry(done, PACKETS, told=told, falsify=falsify)
    reasons = wrong.certificate().reasons
    assert any(reason.startswith(f"{quantity} of ") for reason in reasons), reasons


def test_a_reason_names_link_quantity_configured_realised_and_allowed(pure_links):
    links = pure_links()
    links.carry(LinkConfig((Loss(0.2),)), 2000, told=LinkConfig((Loss(0.05),)))
    reason = links.certificate().reasons[0]
    words = reason.split()
    assert reason.startswith("loss of a > b is 0.")
    assert "configured 0.05, allowed 0.0" in reason
    assert 0.05 < float(words[-1]) < 0.1


def test_bursts_are_told_right_whatever_the_order_of_arrival_and_the_number_of_copies(pure_links):
    config = LinkConfig((GilbertElliott.from_loss(0.1, 4.0), Delay(0.05, 0.05), Duplicate(0.1)))
    links = pure_links()
    links.carry(config, PACKETS, every_ns=20_000)  # thousands of packets overtake each other
    count = links.account().links[0]
    came = np.zeros(PACKETS, dtype=bool)
    again = pure_links()
    again.carry(config, PACKETS, every_ns=20_000, falsify=lambda seen: came.put([n for _, n, _ in seen], True) or seen)
    bursts = np.diff(came, prepend=True).nonzero()[0]
    told = links.certificate().to_dict()["links"]["each"][0]["burst"]
    begun = int((~came[bursts]).sum())
    assert count.distinct == came.sum()
    assert told["realised"] == pytest.approx((PACKETS - came.sum()) / begun)
    assert told["configured"] == pytest.approx(config.packet_chain().missing().mean_burst())


def test_what_cannot_be_judged_is_listed_with_the_reason(pure_links):
    links = pure_links()
    links.carry(LinkConfig((Delay(0.05, 0.01), Delay(0.01, 0.001))), 100)
    links.carry(LinkConfig((Delay(0.01),), rate_bytes_per_s=1e6), 100, source="idle", every_ns=10**9)
    told = links.certificate().to_dict()["links"]
    two, idle = told["configurations"]
    for quantity in ("delay", "jitter", "quantiles"):
        assert two[quantity] == {"judged": False, "why": "the sum of several random delays has no law here"}
    assert two["reorder"]["why"] == "jitter reorders by how closely packets were sent"
    assert idle["reorder"]["ok"]
    rate = next(link for link in told["each"] if link["source"] == "idle")["rate"]
    assert rate == {"judged": False, "why": "the link was not saturated", "configured": 1e6}


def test_queue_drops_hide_bursts_and_are_said_to(pure_links):
    config = LinkConfig((Loss(0.02),), rate_bytes_per_s=5e6, queue_bytes=20_000)
    links = pure_links()
    links.carry(config, PACKETS)  # 12 MB/s into 5
    certificate = links.certificate()
    assert certificate.valid, certificate.reasons
    told = certificate.to_dict()["links"]["each"][0]
    assert told["dropped_link_queue"] > PACKETS / 3
    assert told["loss"]["ok"]
    assert not told["burst"]["judged"]
    assert told["rate"]["realised"] == pytest.approx(5e6, rel=1e-4)


def test_a_saturated_line_with_rests_between_is_judged_by_its_working_time(pure_links):
    config = LinkConfig((Delay(0.01),), rate_bytes_per_s=10e6, queue_bytes=10**9)
    links = pure_links()

    def send_in_bursts(number):
        return number // 100 * 20_000_000

    route = links.carry(config, 0)
    arrivals = [(route.link.verdict(10**18 + send_in_bursts(n), 1200), n) for n in range(2000)]
    for at, number in arrivals:
        links.log.received(0, number, at - 10_000_000, at)
        links.log.weigh(0, 1200)
    told = links.certificate().to_dict()["links"]["each"][0]
    assert told["rate"]["realised"] == pytest.approx(10e6, rel=1e-6)
    # What ended a rest and has not arrived says nothing of the time before.
    route.link.verdict(10**18 + 10**10, 1200)
    route.in_flight = 1
    told = links.certificate().to_dict()["links"]["each"][0]
    assert told["rate"]["realised"] == pytest.approx(10e6, rel=1e-6)


def test_of_many_links_the_worst_are_told_and_the_table_has_all(pure_links):
    links = pure_links()
    for index in range(1001):
        links.carry(LinkConfig((Loss(0.05 + (index == 500) * 0.3), Delay(0.01))), 40, source=f"n{index}", told=BURSTS)
    report = links.certificate().report
    assert report.in_file
    told = json.loads(json.dumps(report.to_dict()))
    assert "each" not in told
    assert told["count"] == 1001
    assert len(told["worst"]) == 20
    table = report.table()
    assert {len(column) for column in table.values()} == {1001}
    assert table["source"][500] == "n500"
    assert table["loss_realised"][500] == pytest.approx(1 - report.columns.received[500] / 40)
    assert told["configurations"][0]["links"] == 1001
