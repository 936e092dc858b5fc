"""Pure: tc lines mean what tc means, or are refused by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.errors import ConfigError
from netem.impairments.corrupt import Corrupt
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.impairments.loss_state import LossState
from netem.impairments.reorder import Reorder
from netem.link import LinkConfig
from netem.slot import Slot
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
        ("loss 1% 99.9%", LinkConfig((Loss(0.01, 0.999),))),
        ("loss gemodel 1%", LinkConfig((GilbertElliott(0.01, 0.99),))),
        ("loss gemodel 1% 30%", LinkConfig((GilbertElliott(0.01, 0.3),))),
        ("loss gemodel 2% 20% 70% 0.1%", LinkConfig((GilbertElliott(0.02, 0.2, 0.7, 0.001),))),
        ("rate 1mbit", LinkConfig(rate_bytes_per_s=125_000)),
        ("rate 125kbps", LinkConfig(rate_bytes_per_s=125_000)),
        ("rate 8kibit", LinkConfig(rate_bytes_per_s=1024)),
        ("rate 1000", LinkConfig(rate_bytes_per_s=125)),
        ("RATE 1Gbit", LinkConfig(rate_bytes_per_s=125e6)),
        ("loss 5% 25%", LinkConfig((Loss(0.05, 0.25),))),
        ("loss state 1%", LinkConfig((LossState(0.01, 0.99),))),
        ("loss state 2% 20% 10% 50% 0.5%", LinkConfig((LossState(0.02, 0.2, 0.1, 0.5, 0.005),))),
        ("delay 10ms 5ms 25%", LinkConfig((Delay(0.01, 0.005, correlation=0.25),))),
        ("delay 10ms 5ms distribution pareto", LinkConfig((Delay(0.01, 0.005, "pareto"),))),
        ("delay 10ms 5ms 25% distribution paretonormal", LinkConfig((Delay(0.01, 0.005, "paretonormal", 0.25),))),
        ("duplicate 1% 25%", LinkConfig((Duplicate(0.01, 0.25),))),
        ("corrupt 1%", LinkConfig((Corrupt(0.01),))),
        ("corrupt 1% 25% as-loss", LinkConfig((Corrupt(0.01, 0.25, "as-loss"),))),
        ("corrupt 1% mode kernel", LinkConfig((Corrupt(0.01, 0.0, "as-loss", kernel=True),), mode="kernel")),
        ("corrupt 1% deliver mode kernel", LinkConfig((Corrupt(0.01, kernel=True),), mode="kernel")),
        ("delay 10ms reorder 25% 50%", LinkConfig((Delay(0.01), Reorder(0.25, 0.5)))),
        ("delay 10ms reorder 100% gap 5", LinkConfig((Delay(0.01), Reorder(1.0, gap=5)))),
        ("delay 10ms reorder 25% 50% gap 5", LinkConfig((Delay(0.01), Reorder(0.25, 0.5, gap=5)))),
        ("gap 5 delay 10ms reorder 50%", LinkConfig((Delay(0.01), Reorder(0.5, gap=5)))),
        ("rate 1mbit 20 100 5", LinkConfig((), 125_000, overhead_bytes=20, cell_bytes=100, cell_overhead_bytes=5)),
        ("rate 1mbit -14", LinkConfig((), 125_000, overhead_bytes=-14)),
        ("limit 100", LinkConfig(limit_packets=100)),
        ("slot 1ms", LinkConfig(slot=Slot(0.001, 0.001))),
        ("slot 1ms 2ms packets 32 bytes 64k", LinkConfig(slot=Slot(0.001, 0.002, "", 32, 65_536))),
        ("slot distribution normal 5ms 1ms", LinkConfig(slot=Slot(0.005, 0.001, "normal"))),
        ("delay 1ms 1ms loss 1% distribution normal", LinkConfig((Delay(0.001, 0.001, "normal"), Loss(0.01)))),
        ("seed 18446744073709551615", LinkConfig(seed=2**64 - 1)),
        ("seed 7 loss 1%", LinkConfig((Loss(0.01),), seed=7)),
        ("delay 10ms 5ms ordered", LinkConfig((Delay(0.01, 0.005),), ordered=True)),
        ("loss 1% ecn", LinkConfig((Loss(0.01),), ecn=True)),
        ("loss 1% mode kernel", LinkConfig((Loss(0.01, kernel=True),), mode="kernel")),
        ("mode honest loss 1%", LinkConfig((Loss(0.01),))),
        (
            "tc qdisc add dev eth0 root handle 1: netem delay 10ms loss 1% duplicate 2% rate 10mbit",
            LinkConfig((Delay(0.01), Loss(0.01), Duplicate(0.02)), 1_250_000),
        ),
    ],
)
def test_a_line_means_what_tc_means(line, config):
    parsed = parse_tc(line)
    assert [type(impairment) for impairment in parsed.impairments] == [type(wanted) for wanted in config.impairments]
    assert (parsed.mode, parsed.slot) == (config.mode, config.slot)
    # Descriptions have twelve digits, so rounding of units does not matter.
    assert describe(parsed) == describe(config)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "options"),
        ("tc qdisc add dev eth0 root netem", "options"),
        ("loss state 60% 50% 0% 100% 50%", r"p13 \+ p14.*1.1.*at most 1"),
        ("loss state 10% 60% 50%", r"p31 \+ p32.*1.1.*at most 1"),
        ("loss state 1% 2% 3% 4% 5% 6%", "loss state"),
        ("loss 5% 100%", "loss correlation.*0 to 0.999.*below 1"),
        ("delay 10ms 1ms 99.91%", "delay correlation.*0 to 0.999"),
        ("loss 1% 2% 3%", "CORRELATION"),
        ("duplicate 1% 25% 3%", "duplicate"),
        ("corrupt 1% maybe", "maybe"),
        ("delay 10ms -5ms", "delay jitter.*-5ms.*0 to 3600s"),
        ("delay -10ms", "delay: '-10ms'.*0 to 3600s"),
        ("delay 10ms 2h", "delay jitter.*2h"),
        ("delay \N{ARABIC-INDIC DIGIT THREE}ms", "delay.*0 to 3600s"),
        ("delay 10ms 5ms 25% 3%", "CORRELATION"),
        ("delay 10ms 5ms 101%", "delay correlation.*101%"),
        ("delay 10ms 5ms distribution gamma", "distribution.*gamma.*paretonormal"),
        ("delay 10ms 5ms distribution experimental", "distribution.*experimental.*path"),
        ("delay 10ms 5ms distribution /nowhere/at.all", "/nowhere/at.all.*can be read.*No such file"),
        ("delay 10ms distribution normal", "delay.*jitter"),
        ("delay 10ms 3s mode kernel", "jitter_s.*2.147"),
        ("delay 10ms 300ms 25% mode kernel", "jitter_s.*0.2 s"),
        ("reorder 25%", "reorder.*without delay"),
        ("delay 0 reorder 25%", "reorder.*without delay"),
        ("delay 10ms reorder 25% slot 1ms", "reorder.*slot"),
        ("delay 10ms reorder 25% ordered", "reorder.*ordered"),
        ("delay 10ms gap 5", "gap.*5.*with reorder"),
        ("loss 1% distribution normal", "distribution.*normal.*with a delay"),
        ("delay 1ms 1ms distribution normal distribution pareto", "second distribution"),
        ("delay 10ms reorder 50% gap 0", "gap.*0.*from 1"),
        ("delay 10ms reorder 50% gap many", "gap.*many"),
        ("slot 2ms 1ms", "slot.*0.002 s to 0.001 s.*at most"),
        ("slot 0", "slot.*above 0"),
        ("slot", "slot MIN"),
        ("slot 1ms 2ms 3ms", "slot MIN"),
        ("slot distribution gamma 1ms 2ms", "slot distribution.*gamma"),
        ("slot distribution normal 1ms", "slot distribution NAME"),
        ("slot 1ms packets -1", "slot packets.*-1"),
        ("slot 1ms bytes none", "slot bytes.*none"),
        ("limit 0", "limit.*0.*from 1"),
        ("limit", "limit"),
        ("seed -1", "seed.*-1"),
        ("seed 18446744073709551616", "seed.*0 to 18446744073709551615"),
        ("seed pi", "seed.*pi"),
        ("ecn", "ecn.*without loss"),
        ("loss 1% ecn always", "ecn.*always"),
        ("loss 1% mode fast", "mode.*fast.*honest or kernel"),
        ("delay 1ms ordered now", "ordered.*now"),
        ("rate 1mbit 20 -1", "rate cell size.*-1"),
        ("rate 1mbit 0 48 -48", "cell_overhead_bytes.*-48"),
        ("rate 1mbit 1 2 3 4", "RATE"),
        ("delay", "delay"),
        ("loss", "loss"),
        ("loss 101%", "101%"),
        ("loss -1%", "-1%"),
        ("loss nan", "nan"),
        ("loss gemodel 1% 2% 3% 4% 5%", "gemodel"),
        ("delay tenms", "tenms"),
        ("delay 5000s", "delay: '5000s'.*0 to 3600s"),
        ("rate 0", "rate"),
        ("rate 1mbit twenty", "packet overhead.*twenty"),
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
correlations = st.integers(0, 99).map(lambda value: value / 100)
names = st.sampled_from(["uniform", "normal", "pareto", "paretonormal"])
delays = st.builds(Delay, durations, durations, names, correlations)
losses = (
    st.builds(Loss, probabilities, st.sampled_from([0.0, 0.25]))
    | st.builds(
        GilbertElliott,
        probabilities,
        st.integers(1, 1000).map(lambda value: value / 1000),
        probabilities,
        probabilities,
    )
    | st.builds(
        LossState,
        st.floats(0.0, 0.5),
        st.floats(0.1, 0.5),
        st.floats(0.0, 0.5),
        st.floats(0.1, 1.0),
        st.floats(0.0, 0.5),
    )
)
slots = st.none() | st.builds(Slot, st.just(0.001), st.just(0.002), st.sampled_from(["", "normal"]), st.integers(0, 9))


@settings(deadline=None)
@given(
    delay=delays,
    loss=losses,
    duplicate=st.builds(Duplicate, probabilities),
    rate=st.sampled_from([1e3, 125e3]),
    slot=slots,
    limit=st.none() | st.integers(1, 9),
    cell=st.sampled_from([0, 48]),
)
def test_a_description_reads_back_as_the_same_link(*, delay, loss, duplicate, rate, slot, limit, cell):
    config = LinkConfig(
        (delay, loss, duplicate), rate, slot=slot, limit_packets=limit, cell_bytes=cell, ordered=cell > 0
    )
    again = parse_tc(describe(config))
    assert describe(again) == describe(config)
    assert again.rate_bytes_per_s == pytest.approx(rate)
    assert again.mean_delay_s() == pytest.approx(config.mean_delay_s())
    assert again.loss_rate() == pytest.approx(config.loss_rate())
    assert (again.slot, again.limit_packets, again.cell_bytes, again.ordered) == (slot, limit, cell, cell > 0)


TABLE = "# a comment\n-8192 -4096 0 # another\n4096\n12288\n"


def test_a_table_is_read_from_its_file(tmp_path):
    path = tmp_path / "My.dist"
    path.write_text(TABLE, encoding="ascii")
    (delay,) = parse_tc(f"DELAY 100ms 10ms distribution {path}").impairments
    assert delay.table == np.array([-8192, -4096, 0, 4096, 12_288], dtype="<i2").tobytes()
    # Honest jitter has the deviation that was asked for; the kernel takes the table as it is.
    assert delay.delay_sd_s() == pytest.approx(0.01)
    (kernel,) = parse_tc(f"delay 100ms 10ms distribution {path} mode kernel").impairments
    assert kernel.delay_sd_s() == pytest.approx(0.01 * np.std([-1, -0.5, 0, 0.5, 1.5]))
    assert kernel.mean_delay_s() == pytest.approx(0.101)
    assert parse_tc(describe(parse_tc(f"delay 100ms 10ms distribution {path}"))).impairments == (delay,)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1 2 three", "whole numbers.*three"),
        ("1 2 40000", "-32768 to 32767"),
        ("7", "with 1 entries.*2 to 16384"),
        ("7 7 7", "entries that differ"),
        ("# nothing", "with 0 entries"),
        ("1 2 " * 10_000, "with 20000 entries"),
        ("été", "not text"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, named):
    path = tmp_path / "bad.dist"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=named):
        parse_tc(f"delay 100ms 10ms distribution {path}")
