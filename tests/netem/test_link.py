"""Pure: a link's verdicts are the configured ones, and depend on the key and the packet's number alone."""

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netem.clock import S
from netem.errors import ConfigError
from netem.fate_blocks import FateBlocks
from netem.fates import Cause
from netem.impairments.corrupt import Corrupt
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.impairments.reorder import Reorder
from netem.link import Exposure, Link, LinkConfig
from netem.randomness import BlockUniforms

NOW_NS = 1_700_000_000 * S
BURSTY = GilbertElliott(0.05, 0.2)
WOBBLY = Delay(0.05, 0.01, "normal")


def make_link(config, *, run_seed=1, source="a", target="b"):
    return Link(config, source=source, target=target, uniforms=BlockUniforms(run_seed), link_id=0)


def verdicts(link, packets, size_bytes=1200):
    return [link.verdict(NOW_NS, size_bytes) for _ in range(packets)]


def test_an_unimpaired_link_passes_everything_at_once_without_drawing():
    class NoUniforms(BlockUniforms):
        def draw(self, key, *, block, shape):
            raise AssertionError("drew")

    link = Link(LinkConfig((Delay(0.05), Loss(0.0))), source="a", target="b", uniforms=NoUniforms(1), link_id=3)
    assert verdicts(link, 100) == [NOW_NS + S // 20] * 100
    assert (link.offered, link.number, sum(link.dropped), link.copy_at) == (100, 100, 0, 0)
    assert link.delay_ns == S // 20


def test_the_same_key_gives_the_same_fates_and_another_key_others():
    config = LinkConfig((BURSTY, WOBBLY))
    fates = verdicts(make_link(config), 10_000)
    assert fates == verdicts(make_link(config), 10_000)
    for other in (make_link(config, run_seed=2), make_link(config, source="c"), make_link(config, target="c")):
        assert verdicts(other, 200) != fates[:200]
    assert verdicts(make_link(config, source="b", target="a"), 200) != fates[:200]


def test_other_impairments_do_not_change_this_ones_fates():
    alone = [verdict < 0 for verdict in verdicts(make_link(LinkConfig((BURSTY,))), 9000)]
    for others in ((WOBBLY,), (Delay(0.5), WOBBLY), (Duplicate(0.0), Delay(0.1, 0.1))):
        mixed = verdicts(make_link(LinkConfig((*others, BURSTY))), 9000)
        assert [verdict < 0 for verdict in mixed] == alone
    delays = verdicts(make_link(LinkConfig((WOBBLY,))), 9000)
    for mixed, delay in zip(
        verdicts(make_link(LinkConfig((BURSTY, WOBBLY, Duplicate(0.1)))), 9000), delays, strict=True
    ):
        assert mixed in (delay, -Cause.LOSS)


def test_two_impairments_of_one_kind_are_independent():
    link = make_link(LinkConfig((Loss(0.3), Loss(0.3))))
    lost = sum(verdict < 0 for verdict in verdicts(link, 20_000))
    rate = 1 - 0.7**2
    assert link.config.loss_rate() == pytest.approx(rate)
    assert abs(lost / 20_000 - rate) < 5 * math.sqrt(rate * (1 - rate) / 20_000)


@settings(max_examples=20, deadline=None)
@example(cuts=[64, 192, 448, 960, 4032])  # between two blocks
@given(cuts=st.lists(st.integers(0, 9000), max_size=5))
def test_live_changes_of_other_impairments_leave_every_fate_as_it_was(cuts):
    expected = [verdict < 0 for verdict in verdicts(make_link(LinkConfig((BURSTY,))), 9000)]
    link = make_link(LinkConfig((BURSTY,)))
    lost = []
    for number in range(9000):
        for index, cut in enumerate(cuts):
            if number == cut:
                link.reconfigure(LinkConfig((Delay(0.01 * index, 0.01), BURSTY) if index % 2 else (BURSTY,)))
        lost.append(link.verdict(NOW_NS, 100) < 0)
    assert lost == expected


def test_a_changed_impairment_goes_on_in_its_state_with_its_own_uniforms():
    # The first chain surely ends bad; the second never leaves a state, so its losses show the state it was given.
    link = make_link(LinkConfig((GilbertElliott(1.0, 0.0, 0.0),)))
    verdicts(link, 10)
    link.reconfigure(LinkConfig((GilbertElliott(1.0, 0.0),)))
    assert set(verdicts(link, 200)) == {-Cause.LOSS}
    fresh = make_link(LinkConfig((Loss(0.1),)))
    verdicts(fresh, 100)
    fresh.reconfigure(LinkConfig((Loss(0.2),)))
    full = verdicts(make_link(LinkConfig((Loss(0.2),))), 5000)
    assert verdicts(fresh, 4900) == full[100:]


@pytest.mark.parametrize(
    ("before", "after", "goes_on"),
    [
        (Delay(0.05, 0.01, correlation=0.9), Delay(0.05, 0.01, "normal", 0.9), True),
        (Delay(0.05, 0.01, correlation=0.9, kernel=True), Delay(0.05, 0.01, correlation=0.9), False),
        (Delay(0.05, 0.01, correlation=0.9), Delay(0.05, 0.01, correlation=0.9, kernel=True), False),
        (Loss(0.3, 0.9, kernel=True), Loss(0.3, 0.9), False),
        (Loss(0.3, 0.9), Loss(0.4, 0.9), True),
        (Duplicate(0.3, 0.9, kernel=True), Duplicate(0.3, 0.9), False),
        (Corrupt(0.3, 0.9, kernel=True), Corrupt(0.3, 0.9), False),
        (Reorder(0.3, gap=1000), Reorder(0.3, 0.9), False),
        (Reorder(0.3, gap=1000), Reorder(0.3, gap=900), True),
        (Reorder(0.3, 0.9, kernel=True), Reorder(0.3, 0.9), False),
    ],
)
def test_a_state_of_another_kind_is_none_to_go_on_from(before, after, goes_on):
    number, uniforms = 1050, BlockUniforms(1)
    ends = {"source": "a", "target": "b", "uniforms": uniforms, "number": number}
    states = FateBlocks((before,), source="a", target="b", uniforms=uniforms).states_at(number)
    changed, fresh = FateBlocks((after,), **ends, states=states), FateBlocks((after,), **ends)
    assert (changed.states_at(number + 1) != fresh.states_at(number + 1)) == goes_on


def test_delays_follow_their_law_after_a_change_from_the_kernels_mode():
    link = make_link(LinkConfig((Delay(0.05, 0.005, "normal", 0.9, kernel=True),)))
    verdicts(link, 10)
    link.reconfigure(LinkConfig((Delay(0.05, 0.005, "normal", 0.9),)))
    assert all(abs(arrival_ns - NOW_NS - 0.05 * S) < 5 * 0.005 * S for arrival_ns in verdicts(link, 100))


def test_fates_go_on_where_they_would_be_after_a_partition_longer_than_a_block():
    config = LinkConfig((BURSTY, WOBBLY))
    expected = verdicts(make_link(config), 6000)
    link = make_link(config)
    assert verdicts(link, 10) == expected[:10]
    link.open = False
    assert set(verdicts(link, 5000)) == {-Cause.PARTITION}
    link.open = True
    assert verdicts(link, 990) == expected[5010:]
    assert link.dropped[Cause.PARTITION] == 5000
    assert link.exposures() == (Exposure(config, 1000),)


def test_a_change_made_during_a_partition_finds_the_right_state():
    link = make_link(LinkConfig((BURSTY,)))
    link.open = False
    verdicts(link, 5000)
    link.reconfigure(LinkConfig((BURSTY, Delay(0.1))))
    link.open = True
    expected = [verdict < 0 for verdict in verdicts(make_link(LinkConfig((BURSTY,))), 6000)]
    assert [verdict < 0 for verdict in verdicts(link, 1000)] == expected[5000:]


def test_exposures_tell_which_packets_met_which_configuration():
    before, after = LinkConfig((Loss(0.1),)), LinkConfig((Loss(0.9),))
    link = make_link(LinkConfig())
    link.reconfigure(before)
    verdicts(link, 30)
    link.reconfigure(after)
    verdicts(link, 70)
    assert link.exposures() == (Exposure(before, 30), Exposure(after, 70))


def test_loss_counted_agrees_with_the_prediction():
    config = LinkConfig((BURSTY, Loss(0.01)))
    link = make_link(config)
    verdicts(link, 200_000)
    standard_error = math.sqrt(config.loss_variance(200_000))
    assert abs(link.dropped[Cause.LOSS] / 200_000 - config.loss_rate()) < 5 * standard_error


def test_copies_are_announced_counted_and_fated_on_their_own():
    config = LinkConfig((Duplicate(0.3), Loss(0.2), Delay(0.05, 0.01)))
    link = make_link(config)
    arrived = copies = 0
    for _ in range(20_000):
        arrival_ns = link.verdict(NOW_NS, 100)
        arrived += arrival_ns > 0
        if link.copy_at:
            copies += 1
            assert arrival_ns > 0
            assert link.copy_at - NOW_NS == link.copy_delay_ns != link.delay_ns == arrival_ns - NOW_NS
    lost = link.dropped[Cause.LOSS]
    assert link.offered + link.duplicated == arrived + copies + lost
    assert abs(lost / 20_000 - config.loss_rate()) < 5 * math.sqrt(config.loss_variance(20_000))
    # A copy is made of a packet that was not lost.
    assert abs(link.duplicated / 20_000 - 0.3 * 0.8) < 5 * math.sqrt(0.24 * 0.76 / 20_000)


def test_a_rate_restores_order_serialises_and_drops_beyond_the_queue():
    link = make_link(LinkConfig((Delay(0.05, 0.05),), rate_bytes_per_s=1e6, queue_bytes=12_000))
    arrivals = []
    for index in range(500):
        arrival_ns = link.verdict(NOW_NS + index * 2_000_000, 1000)
        if arrival_ns > 0:
            arrivals.append(arrival_ns)
            assert arrival_ns >= NOW_NS + index * 2_000_000 + link.delay_ns + 1_000_000
    assert all(later - earlier >= 1_000_000 for earlier, later in itertools.pairwise(arrivals))
    assert link.dropped[Cause.LINK_QUEUE] == 500 - len(arrivals) > 0


def test_a_rate_set_live_applies_from_then_on():
    link = make_link(LinkConfig())
    assert link.verdict(NOW_NS, 1000) == NOW_NS
    link.reconfigure(LinkConfig(rate_bytes_per_s=1e6))
    assert verdicts(link, 2, 1000) == [NOW_NS + 1_000_000, NOW_NS + 2_000_000]
    link.reconfigure(LinkConfig())
    # The two that were queued are not overtaken.
    assert link.verdict(NOW_NS, 1000) == NOW_NS + 2_000_000
    assert link.verdict(NOW_NS + S, 1000) == NOW_NS + S


@pytest.mark.parametrize("values", [{"rate_bytes_per_s": 0.0}, {"rate_bytes_per_s": math.nan}, {"queue_bytes": 0}])
def test_impossible_links_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        LinkConfig(**values)


def test_delays_of_several_impairments_add_up():
    config = LinkConfig((Delay(0.05, 0.03), Delay(0.02, 0.04, "normal")))
    assert config.mean_delay_s() == pytest.approx(0.05 + Delay(0.02, 0.04, "normal").mean_delay_s())
    assert config.delay_sd_s() == pytest.approx(math.hypot(0.03 / math.sqrt(3), 0.04))


def test_early_packets_skip_delay_and_rate():
    config = LinkConfig((Delay(0.1, 0.01), Reorder(0.2)), rate_bytes_per_s=1e6, queue_bytes=10**9)
    link = make_link(config)
    early = 0
    for index in range(5_000):
        now_ns = NOW_NS + index * 1_000_000
        if link.verdict(now_ns, 1000) == now_ns:
            early += 1
            assert link.delay_ns == 0
        else:
            assert link.delay_ns >= S // 12
    assert early == link.early
    assert abs(early / 5_000 - config.early_rate()) < 5 * math.sqrt(0.2 * 0.8 / 5_000)
    assert config.mean_delay_s() == pytest.approx(0.08)


def test_early_copies_and_originals_are_drawn_apart():
    link = make_link(LinkConfig((Delay(0.1), Reorder(0.5), Duplicate(1.0))))
    seen = set()
    for _ in range(100):
        arrival_ns = link.verdict(NOW_NS, 100)
        assert arrival_ns == NOW_NS + link.delay_ns
        assert link.copy_at == NOW_NS + link.copy_delay_ns
        seen.add((link.delay_ns, link.copy_delay_ns))
    assert seen == {(0, 0), (0, S // 10), (S // 10, 0), (S // 10, S // 10)}


def test_damage_is_announced_with_the_packet_it_concerns_and_counted():
    config = LinkConfig((Corrupt(0.1), Duplicate(0.2), Loss(0.1)))
    link = make_link(config)
    damaged = 0
    for _ in range(10_000):
        link.verdict(NOW_NS, 100)
        damaged += (link.damage >= 0.0) + (link.copy_damage >= 0.0)
        assert link.unusual == bool(link.copy_at or link.damage >= 0.0 or link.unusual)
        if not link.unusual:
            assert (link.copy_at, link.damage, link.copy_damage) == (0, -1.0, -1.0)
    assert damaged == link.corrupted
    sent = 10_000 + link.duplicated - link.dropped[Cause.LOSS]
    assert abs(damaged / sent - 0.1) < 5 * math.sqrt(0.09 / sent)


def test_damage_as_loss_has_a_cause_of_its_own():
    link = make_link(LinkConfig((Corrupt(0.1, 0.0, "as-loss"), Loss(0.1))))
    causes = [-verdict for verdict in verdicts(link, 10_000) if verdict < 0]
    assert causes.count(Cause.CORRUPT) == link.dropped[Cause.CORRUPT]
    assert causes.count(Cause.LOSS) == link.dropped[Cause.LOSS]
    assert abs(link.dropped[Cause.CORRUPT] / 10_000 - 0.09) < 5 * math.sqrt(0.09 / 10_000)


def test_a_full_link_drops_for_a_cause_of_its_own():
    link = make_link(LinkConfig((Delay(0.1),), limit_packets=10))
    assert verdicts(link, 15) == [NOW_NS + S // 10] * 10 + [-Cause.LIMIT] * 5
    assert link.dropped[Cause.LIMIT] == 5


def test_a_seed_of_its_own_gives_a_link_the_same_fates_in_every_run():
    config = LinkConfig((BURSTY, WOBBLY), seed=7)
    assert verdicts(make_link(config), 200) == verdicts(make_link(config, run_seed=2), 200)
    other = make_link(LinkConfig((BURSTY, WOBBLY), seed=8))
    assert verdicts(other, 200) != verdicts(make_link(config), 200)
    assert verdicts(make_link(config, source="c"), 200) != verdicts(make_link(config), 200)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 5000))
def test_a_correlated_kind_keeps_its_memory_across_a_live_change(cut):
    kinds = (Loss(0.2, 0.75), Delay(0.1, 0.01, "normal", 0.9), Reorder(0.1, gap=3))
    expected = verdicts(make_link(LinkConfig(kinds)), 6000)
    link = make_link(LinkConfig(kinds))
    got = verdicts(link, cut)
    link.reconfigure(LinkConfig((Duplicate(0.0), *kinds)))
    assert got + verdicts(link, 6000 - cut) == expected
