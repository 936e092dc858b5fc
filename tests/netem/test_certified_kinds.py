"""Pure: of every kind of impairment an honest run is valid, and one whose links do something else is void."""

from __future__ import annotations

import pytest

from netem.impairments import kinds
from netem.tc import parse_tc

PACKETS = 2000
SEEDS = range(3)
# What a link is told to do; what it does instead; the quantity that tells. The spacing is 300 us: the rate of 12 Mbit/s is saturated.
CASES = [
    ("delay 50ms 10ms", "delay 50ms 13ms", "jitter"),
    ("delay 50ms 10ms distribution normal", "delay 52ms 10ms distribution normal", "delay"),
    ("delay 50ms 10ms distribution pareto", "delay 50ms 10ms distribution normal", "delay_distance"),
    ("delay 50ms 10ms distribution paretonormal", "delay 50ms 10ms", "delay_distance"),
    ("delay 50ms 10ms 25%", "delay 50ms 10ms 25% distribution pareto", "delay_distance"),
    ("delay 50ms 10ms 75% distribution normal", "delay 56ms 10ms 75% distribution normal", "delay"),
    ("delay 50ms 10ms 25% distribution pareto", "delay 56ms 10ms 25% distribution pareto", "delay"),
    ("delay 5ms 10ms distribution normal", "delay 6ms 13ms distribution normal", "delay"),
    ("delay 50ms 10ms 25% distribution pareto mode kernel", "delay 50ms 10ms distribution pareto", "jitter"),
    ("loss 5%", "loss 9%", "loss"),
    ("loss 5% 25%", "loss 10% 25%", "loss"),
    ("loss 30% 25% mode kernel", "loss 30% 25%", "loss"),
    ("loss 5% ecn", "loss 1% ecn", "loss"),
    ("loss 5% seed 7", "loss 9% seed 7", "loss"),
    ("loss gemodel 2% 30%", "loss gemodel 6.25% 93.75%", "burst"),
    ("loss state 2% 30% 20% 50% 1%", "loss state 6% 30% 20% 50% 1%", "loss"),
    ("duplicate 5%", "duplicate 10%", "duplicates"),
    ("duplicate 10% 50%", "duplicate 20% 50%", "duplicates"),
    ("loss 10% duplicate 10%", "loss 10% duplicate 1%", "duplicates"),
    ("loss gemodel 2% 30% duplicate 10%", "loss gemodel 5% 30% duplicate 10%", "loss"),
    ("corrupt 5%", "corrupt 10%", "corrupt"),
    ("corrupt 10% 50%", "corrupt 20% 50%", "corrupt"),
    ("corrupt 5% as-loss duplicate 10%", "corrupt 10% as-loss duplicate 10%", "corrupt"),
    ("corrupt 5% mode kernel", "corrupt 1% mode kernel", "corrupt"),
    ("delay 10ms reorder 25%", "delay 10ms reorder 30%", "early"),
    ("delay 10ms reorder 25% 50%", "delay 10ms reorder 40% 50%", "early"),
    ("delay 10ms reorder 30% 50% gap 3", "delay 10ms reorder 60% 50% gap 3", "early"),
    ("delay 10ms 2ms reorder 5% gap 5", "delay 10ms 2ms reorder 12% gap 5", "early"),
    ("delay 10ms reorder 30% 25% mode kernel", "delay 10ms reorder 30% 25%", "early"),
    ("delay 50ms 10ms ordered", "delay 50ms 10ms", "reorder"),
    ("slot 1ms 3ms delay 10ms 1ms", "delay 10ms 1ms", "reorder"),
    ("delay 50ms 5ms limit 100", "delay 54ms 5ms limit 100", "delay"),
    ("delay 20ms 5ms rate 12mbit", "delay 20ms 5ms rate 12.2mbit", "rate"),
    ("rate 12mbit 30 100 5", "rate 12mbit 30", "rate"),
]


def carried(pure_links, does, *, told, run_seed):
    links = pure_links(run_seed=run_seed)
    for source in ("a", "c"):
        links.carry(parse_tc(does), PACKETS, source=source, told=parse_tc(told), every_ns=300_000)
    return links.certificate()


@pytest.mark.parametrize(("told", "does", "quantity"), CASES)
def test_what_a_link_was_told_is_valid_and_anything_else_void(pure_links, told, does, quantity):
    for run_seed in SEEDS:
        honest = carried(pure_links, told, told=told, run_seed=run_seed)
        assert honest.valid, honest.reasons
    # Told by the quantity itself, not by something that goes along with it.
    reasons = carried(pure_links, does, told=told, run_seed=1).reasons
    assert any(reason.startswith(f"{quantity} of") for reason in reasons), reasons


def test_every_kind_is_among_them():
    told = {one.name for line, _, _ in CASES for one in parse_tc(line).impairments}
    assert told == set(kinds())


@pytest.mark.parametrize(
    ("line", "unjudged"),
    [
        ("delay 20ms 5ms", {"reorder"}),
        ("delay 20ms 5ms ordered", set()),
        ("delay 20ms 5ms rate 1mbit reorder 10%", {"reorder", "rate"}),
        ("delay 20ms reorder 10% 25% mode kernel", {"delay", "jitter", "quantiles", "reorder", "rate", "limit"}),
        ("loss 5% 25%", {"burst"}),
        ("corrupt 5% 25%", set()),
        ("corrupt 5% 25% as-loss", {"burst"}),
        ("loss 5% 25% duplicate 5% 25% corrupt 5% 25% as-loss", {"burst", "duplicates"}),
        ("slot 1ms 2ms delay 20ms 5ms", {"rate", "slot"}),
        ("delay 20ms limit 10", {"limit"}),
    ],
)
def test_what_cannot_be_judged_is_named(line, unjudged):
    assert set(parse_tc(line).unjudged()) == unjudged


@pytest.mark.parametrize(
    "line",
    [
        "loss 10% 75% mode kernel",
        "loss 45% 99% mode kernel",
        "duplicate 20% 60% mode kernel",
        "delay 20ms reorder 30% 90% gap 2 mode kernel",
        "loss 10% 75%",
    ],
)
def test_many_links_that_have_just_begun_are_as_valid_as_one_that_lasts(pure_links, line):
    for run_seed in SEEDS:
        links = pure_links(run_seed=run_seed)
        for number in range(25):
            links.carry(parse_tc(line), 60, source=f"s{number}", told=parse_tc(line), every_ns=300_000)
        certificate = links.certificate()
        assert certificate.valid, certificate.reasons
