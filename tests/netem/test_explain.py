"""Pure: an explanation says what the line does here, and where the kernel surprises."""

import json
import math

import pytest

from netem.errors import ConfigError
from netem.explain import explain


def test_the_line_of_the_manual_is_explained_in_full():
    meaning = explain("delay 100ms 10ms 25% distribution normal loss gemodel 1% 30% rate 10mbit")
    figures = meaning.figures
    assert figures["delay_mean_s"] == pytest.approx(0.1)
    assert figures["delay_deviation_s"] == pytest.approx(0.01, rel=1e-3)
    assert figures["delay_p99_s"] == pytest.approx(0.12326, rel=1e-4)
    assert figures["loss_rate"] == pytest.approx(0.03226, rel=1e-3)
    assert figures["mean_burst_packets"] == pytest.approx(10 / 3)
    assert figures["goodput_bytes_per_s"] == pytest.approx(1_250_000 * 1188 / 1200)
    # 1.5 times the packets that come while the slowest (delay + 3 deviations) waits.
    assert figures["required_limit_packets"] == math.ceil(1.5 * 1_250_000 / 1200 * 0.13) + 1
    assert json.loads(json.dumps(meaning.to_dict()))["loss_rate"] == figures["loss_rate"]


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        ("loss 0.3% 25%", "rate 3.96e-09 instead of 0.003: next to nothing"),
        ("duplicate 10% 50%", "rate 0.00108 instead of 0.1"),
        ("corrupt 1% 25%", "corrupt: in the kernel this correlation makes the rate 2.42e-06"),
        ("delay 10ms reorder 25% 50%", "reorder: in the kernel this correlation makes the rate 0.0694"),
        ("loss 0% 25%", "loss: it never happens, so that `loss 0% 25%` does nothing"),
        ("loss gemodel 0% 30%", "loss gemodel: it never happens"),
        ("delay 10ms 0ms 25%", "without jitter a correlation or a distribution does nothing"),
        ("delay 10ms 0ms distribution normal", "without jitter a correlation or a distribution does nothing"),
        ("delay 10ms ordered", "ordered: without jitter"),
        ("rate 1mbit 0 0 5", "an overhead of cells does nothing without cells"),
        ("delay 50ms 10ms distribution pareto", "deviation of 8.197 ms, not 10 ms"),
        ("delay 50ms 10ms distribution paretonormal", "deviation of 8.339 ms"),
        ("delay 50ms 10ms", "uniform, half a range of 10 ms: its deviation is 5.774 ms"),
        ("delay 50ms 10ms 25%", "in the kernel this correlation comes to nothing"),
        ("delay 50ms 10ms", "jitter reorders: 45%"),
        ("delay 50ms 10ms rate 1mbit", "packets leave in order"),
        ("delay 5ms 10ms", "raises the mean to 5.625 ms"),
        ("delay 100ms", "above 10,000 packets/s it drops the rest"),
        ("delay 100ms limit 100", "above 1,000 packets/s it drops the rest (cause `limit`"),
        ("delay 10ms reorder 25%", "follow each other by more than 10 ms are not reordered"),
        ("loss 1% ecn", "sent without ECN"),
    ],
)
def test_what_surprises_is_said(line, warned):
    assert any(warned in warning for warning in explain(line).warnings)


@pytest.mark.parametrize(
    "line",
    [
        "loss 1%",
        "loss 50% 25%",
        "rate 1mbit 0 48 5",
        "loss gemodel 1% 30%",
        "delay 10ms 1ms ordered limit 9999 distribution normal",
    ],
)
def test_what_does_not_surprise_is_not_warned_of(line):
    assert all(warning.startswith("limit") for warning in explain(line).warnings)


@pytest.mark.parametrize(
    ("line", "deviation_s"),
    [
        ("delay 100ms 10ms distribution normal", 0.01),
        ("delay 100ms 10ms 25% distribution pareto", 0.01),
        ("delay 100ms 10ms distribution paretonormal", 0.01),
        ("delay 100ms 10ms", 0.01 / math.sqrt(3)),
        ("delay 10ms reorder 25%", 0.01 * math.sqrt(0.25 * 0.75)),
        ("delay 0ms 10ms", 0.01 * math.sqrt(1 / 6 - 1 / 16)),  # half of it is cut at 0
    ],
)
def test_a_deviation_has_its_closed_form(line, deviation_s):
    assert explain(line).figures["delay_deviation_s"] == pytest.approx(deviation_s, rel=1e-6)


def test_without_a_rate_the_limit_is_for_a_thousand_packets_a_second():
    figures = explain("delay 100ms 10ms distribution normal").figures
    assert figures["required_limit_1000_per_s_packets"] == 1.5 * 1000 * 0.13 + 1


def test_swaps_have_their_closed_form():
    # Two uniform jitters of half a range s, sent d apart: (2 s - d)^2 / (8 s^2).
    (warning,) = [warning for warning in explain("delay 50ms 2ms").warnings if "reorders" in warning]
    assert f"{(4 - 1) ** 2 / 32:.0%}" in warning


@pytest.mark.parametrize(
    ("line", "delivered"),
    [
        ("loss 20% duplicate 10%", 0.884),
        ("duplicate 10%", 1.1),
        ("loss 20%", 0.8),
        ("corrupt 10% as-loss duplicate 10%", 0.99),
        ("corrupt 10%", 1.0),
    ],
)
def test_copies_delivered_have_their_closed_form(line, delivered):
    assert explain(line).figures["copies_delivered_per_packet"] == pytest.approx(delivered)


def test_the_kernel_is_explained_when_it_is_asked_for():
    meaning = explain("loss 10% 25% delay 10ms 1ms distribution pareto mode kernel")
    assert meaning.figures["loss_rate"] == pytest.approx(0.0175, rel=2e-3)
    assert meaning.figures["delay_deviation_s"] == pytest.approx(0.00082, rel=1e-3)
    assert meaning.figures["limit_packets"] == 1000


@pytest.mark.parametrize(("line", "burst"), [("loss 10% 25%", 1.1214), ("loss 0.3% 25%", 1.003)])
def test_the_kernels_correlation_hardly_makes_bursts(line, burst):
    meaning = explain(f"{line} mode kernel")
    assert meaning.figures["mean_burst_packets"] == pytest.approx(burst, abs=5e-4)


def test_slots_and_early_packets_are_explained():
    figures = explain("slot 4ms 6ms packets 10").figures
    assert figures["slot_datagrams_per_s"] == pytest.approx(2000)
    assert explain("delay 10ms reorder 50% gap 5").figures["early_share"] == pytest.approx(1 / 6)


def test_a_bad_line_is_refused():
    with pytest.raises(ConfigError, match="p13"):
        explain("loss state 60% 50% 0% 100% 50%")
