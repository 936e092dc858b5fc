"""Pure: packets wait for one another as tc-netem's limit, rate, slots and our `ordered` say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.clock import S
from netem.errors import ConfigError
from netem.fates import Cause
from netem.impairments.delay import Delay
from netem.link import LinkConfig
from netem.link_line import LinkLine
from netem.plain_link import from_plain, to_plain
from netem.randomness import BlockUniforms
from netem.slot import Slot, SlotGate

MS = S // 1000
NOW_NS = 1_700_000_000 * S


def make_line(config):
    return LinkLine(config, uniforms=BlockUniforms(1), key=bytes(16))


@pytest.mark.parametrize(
    ("size_bytes", "rate_bytes_per_s", "overheads", "time_ns"),
    [
        (1000, 625, (20, 100, 5), 1_848_000_000),
        (1500, 125_000, (0, 0, 0), 12_000_000),
        (1514, 1_250_000, (0, 0, 0), 1_211_200),
        (1500, 250_000, (0, 48, 5), 6_784_000),
        (100, 625, (-14, 0, 0), 137_600_000),
    ],
)
def test_a_packet_takes_the_time_that_tc_gives_it(size_bytes, rate_bytes_per_s, overheads, time_ns):
    config = LinkConfig((), rate_bytes_per_s, 64 * 1024, *overheads)
    assert make_line(config).leave(NOW_NS, NOW_NS, size_bytes) == NOW_NS + time_ns


def test_departures_wait_for_the_last_one_and_for_their_own_delay():
    line = make_line(LinkConfig((), 1_000_000.0))
    assert line.leave(NOW_NS, NOW_NS + 10 * MS, 1000) == NOW_NS + 11 * MS
    assert line.leave(NOW_NS, NOW_NS + 2 * MS, 1000) == NOW_NS + 12 * MS
    assert line.leave(NOW_NS, NOW_NS + 20 * MS, 1000) == NOW_NS + 21 * MS


def test_the_limit_counts_what_waits_for_whatever_reason():
    line = make_line(LinkConfig(limit_packets=2))
    assert line.leave(NOW_NS, NOW_NS + 10 * MS, 100) == NOW_NS + 10 * MS
    assert line.leave(NOW_NS, NOW_NS + 5 * MS, 100) == NOW_NS + 5 * MS
    assert line.leave(NOW_NS, NOW_NS + 1, 100) == -Cause.LIMIT
    assert line.leave_early(NOW_NS) == -Cause.LIMIT
    assert line.leave(NOW_NS + 5 * MS, NOW_NS + 6 * MS, 100) == NOW_NS + 6 * MS
    assert line.leave_early(NOW_NS + 6 * MS) == NOW_NS + 6 * MS


def test_the_limit_takes_the_place_of_the_queue_in_bytes():
    def sizes(config):
        line = make_line(config)
        return [line.leave(NOW_NS, NOW_NS, 1000) for _ in range(200)]

    assert -Cause.LINK_QUEUE in sizes(LinkConfig((), 1e6))
    assert min(sizes(LinkConfig((), 1e6, limit_packets=1000))) > 0
    assert sizes(LinkConfig((), 1e6, limit_packets=100)).count(-Cause.LIMIT) == 100


def test_the_kernel_holds_a_thousand_packets():
    line = make_line(LinkConfig((Delay(1.0),), mode="kernel"))
    verdicts = [line.leave(NOW_NS, NOW_NS + S, 100) for _ in range(1001)]
    assert [verdict for verdict in verdicts if verdict < 0] == [-Cause.LIMIT]
    assert not LinkConfig((Delay(1.0),)).is_shaped()


@given(st.lists(st.tuples(st.integers(0, 10 * MS), st.integers(0, 50 * MS)), max_size=50))
def test_ordered_packets_leave_in_order_and_never_before_their_time(steps):
    line = make_line(LinkConfig(ordered=True))
    now_ns, last_ns = NOW_NS, 0
    for step_ns, delay_ns in steps:
        now_ns += step_ns
        leaves_ns = line.leave(now_ns, now_ns + delay_ns, 100)
        assert leaves_ns == max(now_ns + delay_ns, last_ns)
        last_ns = leaves_ns


def gate(slot, key=bytes(16)):
    return SlotGate(slot, uniforms=BlockUniforms(1), key=key)


def test_a_slot_lets_out_what_waits_for_it_together():
    slots = gate(Slot(0.01, 0.01))
    assert slots.leave(NOW_NS, NOW_NS, 100) == NOW_NS  # the first slot opens with the first packet
    # Who comes to a slot that has passed draws the next one.
    assert [slots.leave(NOW_NS + MS, NOW_NS + MS, 100) for _ in range(3)] == [NOW_NS + 11 * MS] * 3
    assert slots.leave(NOW_NS + 5 * MS, NOW_NS + 5 * MS, 100) == NOW_NS + 11 * MS
    # A slot drawn on coming to the head is of no use if the delay is longer: then one is drawn when that is over.
    assert slots.leave(NOW_NS + 30 * MS, NOW_NS + 55 * MS, 100) == NOW_NS + 65 * MS


@pytest.mark.parametrize(
    ("budget", "each"), [({"packets": 3}, 3), ({"bytes": 250}, 3), ({"packets": 9, "bytes": 100}, 1)]
)
def test_a_slot_ends_when_its_budget_is_used_up(budget, each):
    slots = gate(Slot(0.01, 0.01, "", **budget))
    leaves = [slots.leave(NOW_NS, NOW_NS, 100) for _ in range(4 * each)]
    assert leaves == [NOW_NS + 10 * MS * (index // each) for index in range(4 * each)]


@pytest.mark.parametrize(
    "slot",
    [
        Slot(0.002, 0.006, "", 5),
        Slot(0.005, 0.001, "normal", 5),
        Slot(0.005, 0.001, "pareto", 5),
        Slot(3.0, 5.0, "", 5),
    ],
)
def test_a_saturated_link_carries_its_budget_every_mean_gap(slot):
    slots = gate(slot)
    packets = 20_000
    last_ns = [slots.leave(NOW_NS, NOW_NS, 100) for _ in range(packets)][-1]
    gaps = packets / 5 - 1
    # No gap's deviation exceeds its mean.
    mean_s = (last_ns - NOW_NS) / S / gaps
    assert abs(mean_s - slot.mean_gap_s()) < 5 * slot.mean_gap_s() / math.sqrt(gaps)


@given(st.lists(st.tuples(st.integers(0, 9 * MS), st.integers(0, 20 * MS)), min_size=1, max_size=40), st.integers(0, 3))
def test_slots_keep_order_and_delays(steps, packets):
    slots = gate(Slot(0.001, 0.004, "", packets))
    now_ns, last_ns = NOW_NS, 0
    for step_ns, delay_ns in steps:
        now_ns += step_ns
        leaves_ns = slots.leave(now_ns, now_ns + delay_ns, 100)
        assert leaves_ns >= max(now_ns + delay_ns, last_ns)
        last_ns = leaves_ns


def test_the_same_key_opens_the_same_slots():
    def leaves(key):
        slots = gate(Slot(0.001, 0.004, "", 1), key)
        return [slots.leave(NOW_NS, NOW_NS, 100) for _ in range(200)]

    assert leaves(b"a" * 16) == leaves(b"a" * 16) != leaves(b"b" * 16)


def test_slots_that_stay_go_on_when_something_else_changes():
    slot = Slot(0.01, 0.01, "", 1)
    line = make_line(LinkConfig(slot=slot))
    assert [line.leave(NOW_NS, NOW_NS, 100) for _ in range(2)] == [NOW_NS, NOW_NS + 10 * MS]
    line.configure(LinkConfig(slot=slot, rate_bytes_per_s=1e9))
    assert line.leave(NOW_NS, NOW_NS, 100) == NOW_NS + 20 * MS
    line.configure(LinkConfig())
    assert line.leave(NOW_NS + S, NOW_NS + S, 100) == NOW_NS + S


@pytest.mark.parametrize(
    "config",
    [
        LinkConfig(),
        LinkConfig((Delay(0.1, 0.01, "mine.dist", 0.1, b"\x01\x00\x02\x00"),), 1e6, 1000, 1, 48, 5),
        LinkConfig((Delay(0.1),), limit_packets=7, slot=Slot(0.1, 0.2, "", 3, 4), seed=2**64 - 1),
        LinkConfig(ordered=True, mode="kernel"),
    ],
)
def test_a_configuration_comes_back_from_bytes(config):
    assert from_plain(to_plain(config)) == config


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"overhead_bytes": 99_999}, "overhead_bytes"),
        ({"cell_bytes": -1}, "cell_bytes"),
        ({"cell_overhead_bytes": -5}, "cell_overhead_bytes"),
        ({"limit_packets": 0}, "limit"),
        ({"mode": "other"}, "mode"),
        ({"seed": -1}, "seed"),
        ({"ecn": True}, "ecn"),
    ],
)
def test_links_that_are_none_are_refused(values, named):
    with pytest.raises(ConfigError, match=named):
        LinkConfig(**values)


def test_the_automatic_queue_grows_with_rate_and_delay():
    assert LinkConfig((Delay(0.1, 0.01),), 1e5).queue_limit_bytes() == 64 * 1024
    assert LinkConfig((Delay(0.1, 0.01, "normal"),), 1e7).queue_limit_bytes() == math.ceil(1.5 * 1e7 * 0.13)
    assert LinkConfig((Delay(0.1),), 1e7, queue_bytes=5000).queue_limit_bytes() == 5000
    # So jitter does not leave a fast link idle.
    line = make_line(LinkConfig((Delay(0.02, 0.005),), 125e6))
    assert min(line.leave(NOW_NS, NOW_NS + delay_ns, 1200) for delay_ns in range(15 * MS, 25 * MS, 10_000)) > 0
