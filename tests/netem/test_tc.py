"""Pure: tc lines mean what tc means, or are refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import ConfigError
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.tc import describe, parse_tc


@pytest.mark.parametrize(
    ("line", "config"),
    [
        ("delay 100ms", LinkConfig((Delay(0.1),))),
        ("latency 500", LinkConfig((Delay(500e-6),))),
        ("delay 100ms 10ms", LinkConfig((Delay(0.1, 0.01),))),
        ("delay 1s 20msec distribution normal", LinkConfig((Delay(1.0, 0.02, "normal"),))),
        ("delay 1s 20us distribution uniform", LinkConfig((Delay(1.0, 20e-6),))),
        ("loss 5%", LinkConfig((Loss(0.05),))),
        ("loss random 0.3", LinkConfig((Loss(0.003),))),
        ("drop 100%", LinkConfig((Loss(1.0),))),
        ("loss gemodel 1%", LinkConfig((GilbertElliott(0.01, 0.99),))),
        ("loss gemodel 1% 30%", LinkConfig((GilbertElliott(0.01, 0.3),))),
        ("loss gemodel 2% 20% 70% 0.1%", LinkConfig((GilbertElliott(0.02, 0.2, 0.7, 0.001),))),
        ("rate 1mbit", LinkConfig(rate_bytes_per_s=125_000)),
        ("rate 125kbps", LinkConfig(rate_bytes_per_s=125_000)),
        ("rate 8kibit", LinkConfig(rate_bytes_per_s=1024)),
        ("rate 1000", LinkConfig(rate_bytes_per_s=125)),
        ("RATE 1Gbit", LinkConfig(rate_bytes_per_s=125e6)),
        (
            "tc qdisc add dev eth0 root handle 1: netem delay 10ms loss 1% duplicate 2% rate 10mbit",
            LinkConfig((Delay(0.01), Loss(0.01), Duplicate(0.02)), 1_250_000),
        ),
    ],
)
def test_a_line_means_what_tc_means(line, config):
    parsed = parse_tc(line)
    assert [type(impairment) for impairment in parsed.impairments] == [type(wanted) for wanted in config.impairments]
    # Descriptions have twelve digits, so rounding of units does not matter.
    assert describe(parsed) == describe(config)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "options"),
        ("tc qdisc add dev eth0 root netem", "options"),
        ("corrupt 1%", "corrupt"),
        ("delay 10ms reorder 25% 50%", "reorder"),
        ("slot 1ms", "slot"),
        ("limit 1000", "limit"),
        ("loss 1% ecn", "ecn"),
        ("seed 7", "seed"),
        ("loss state 1% 90%", "state"),
        ("loss 5% 25%", "correlation"),
        ("delay 10ms 5ms 25%", "correlation"),
        ("duplicate 1% 25%", "correlation"),
        ("delay 10ms 5ms distribution pareto", "pareto"),
        ("delay 10ms distribution normal", "delay"),
        ("delay", "delay"),
        ("loss", "loss"),
        ("loss 101%", "101%"),
        ("loss -1%", "-1%"),
        ("loss nan", "nan"),
        ("loss gemodel 1% 2% 3% 4% 5%", "gemodel"),
        ("delay tenms", "tenms"),
        ("delay 5000s", "5000"),
        ("rate 0", "rate"),
        ("rate 1mbit 20", "overhead"),
        ("rate fast", "fast"),
        ("loss 1% loss 2%", "loss"),
        ("lose 5%", "lose"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(line, named):
    with pytest.raises(ConfigError, match=named):
        parse_tc(line)


def test_an_unimpaired_link_says_so():
    assert describe(LinkConfig()) == "no impairment"


probabilities = st.integers(0, 1000).map(lambda value: value / 1000)
durations = st.integers(0, 5000).map(lambda value: value / 1000)
delays = st.builds(Delay, durations, durations, st.sampled_from(["uniform", "normal"]))
losses = st.builds(Loss, probabilities) | st.builds(
    GilbertElliott, probabilities, st.integers(1, 1000).map(lambda value: value / 1000), probabilities, probabilities
)


@given(delay=delays, loss=losses, duplicate=st.builds(Duplicate, probabilities), rate=st.sampled_from([1e3, 125e3]))
def test_a_description_reads_back_as_the_same_link(delay, loss, duplicate, rate):
    config = LinkConfig((delay, loss, duplicate), rate)
    again = parse_tc(describe(config))
    assert describe(again) == describe(config)
    assert again.rate_bytes_per_s == pytest.approx(rate)
    assert again.mean_delay_s() == pytest.approx(config.mean_delay_s())
    assert again.loss_rate() == pytest.approx(config.loss_rate())
