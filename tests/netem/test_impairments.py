"""Pure: the contract of every kind of impairment, and closed forms of each.

Statistical checks draw enough packets that five standard errors of the model's own variance are a small deviation.
"""

import dataclasses
import functools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from netem.errors import ConfigError
from netem.impairments import kinds
from netem.impairments.base import LOST, RUINED, UNUSUAL, Columns, Impairment
from netem.impairments.corrupt import Corrupt
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.impairments.loss_state import LossState
from netem.impairments.reorder import Reorder
from netem.link import Link, LinkConfig
from netem.randomness import BlockUniforms
from netem.tc import parse_tc

SAMPLES = {
    "corrupt": [
        Corrupt(0.0),
        Corrupt(0.02),
        Corrupt(0.1, 0.5),
        Corrupt(0.1, 0.25, "as-loss", kernel=True),
        Corrupt(0.2, 0.25, kernel=True),
        Corrupt(1.0, 0.0, "as-loss"),
    ],
    "delay": [
        Delay(0.05),
        Delay(0.05, 0.01),
        Delay(0.01, 0.02),
        Delay(0.05, 0.01, "normal"),
        Delay(0.0, 0.01, "normal"),
        Delay(0.05, 0.01, "pareto"),
        Delay(0.05, 0.01, "paretonormal", 0.5),
        Delay(0.05, 0.01, correlation=0.9),
        Delay(0.05, 0.01, "normal", 0.25, kernel=True),
        Delay(0.05, 0.01, "pareto", kernel=True),
        Delay(0.05, 0.01, correlation=0.5, kernel=True),
    ],
    "duplicate": [
        Duplicate(0.0),
        Duplicate(0.1),
        Duplicate(1.0),
        Duplicate(0.3, 0.25),
        Duplicate(0.3, 0.25, kernel=True),
    ],
    "gilbert_elliott": [
        GilbertElliott(0.01, 0.3),
        GilbertElliott(0.02, 0.2, 0.7, 0.001),
        GilbertElliott(0.9, 0.8),
        GilbertElliott(1.0, 1.0, 0.5, 0.1),
        GilbertElliott(0.3, 0.7),
        GilbertElliott(0.0, 0.5, 1.0, 0.2),
    ],
    "loss": [Loss(0.0), Loss(0.05), Loss(1.0), Loss(0.05, 0.5), Loss(0.2, 0.25, kernel=True)],
    "loss_state": [
        LossState(0.0, 0.5),
        LossState(0.02, 0.2, 0.1, 0.5, 0.005),
        LossState(0.05, 0.9, 0.05, 0.5, 0.01),
        LossState(0.0, 1.0, 0.0, 1.0, 0.1),
    ],
    "reorder": [
        Reorder(0.0),
        Reorder(0.25),
        Reorder(0.25, 0.5),
        Reorder(0.5, gap=5),
        Reorder(0.2, 0.25, kernel=True),
        Reorder(0.4, 0.5, gap=3),
    ],
}
EACH = [
    pytest.param(sample, id=f"{name}-{index}")
    for name, samples in SAMPLES.items()
    for index, sample in enumerate(samples)
]
FIELDS = ("lost", "delay_ns", "copy", "early", "ruined", "damage")


def line_of(impairment):
    """Return a tc line that has the impairment; some need company."""
    line = impairment.to_tc()
    if isinstance(impairment, Reorder):
        line = "delay 10ms " + line
    return line + (" mode kernel" if getattr(impairment, "kernel", False) else "")


def columns_of(columns):
    """Return every column of packets and copies at full length, by name."""
    found = {}
    for prefix, part in (("", columns), ("copy's ", columns.copies)):
        if part is not None:
            for field in FIELDS:
                found[prefix + field] = np.broadcast_to(getattr(part, field), part.packets)
    return found


def uniforms(impairment, packets, *, copying=True, run_seed=1):
    source = BlockUniforms(run_seed)
    rows = impairment.rows + (impairment.copy_rows if copying else 0)
    return source.draw(source.key("test", impairment.name), block=0, shape=(rows, packets))


def decide(impairment, draws, *, state=None, copying=True):
    columns = Columns(draws.shape[1], copying=copying)
    after = impairment.decide(columns, draws, impairment.start() if state is None else state)
    return columns, after


def test_every_kind_is_found_by_name_and_has_samples_here():
    assert list(kinds()) == sorted(SAMPLES)
    for name, samples in SAMPLES.items():
        assert all(type(sample) is kinds()[name] for sample in samples)
    assert len({kind.tc for kind in kinds().values()}) == len(kinds())


@pytest.mark.parametrize("impairment", EACH)
def test_a_kind_is_a_frozen_value(impairment):
    assert isinstance(impairment, Impairment)
    assert hash(impairment) == hash(dataclasses.replace(impairment))
    assert pickle.loads(pickle.dumps(impairment)) == impairment
    field = dataclasses.fields(impairment)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(impairment, field, 0.5)
    assert not hasattr(impairment, "__dict__")


@pytest.mark.parametrize("impairment", EACH)
def test_its_tc_option_reads_back(impairment):
    assert parse_tc(line_of(impairment)).impairments[-1] == impairment


@pytest.mark.parametrize("kind", [kind for _, kind in sorted(kinds().items())])
@pytest.mark.parametrize("value", [-0.1, 3601.0, math.nan, math.inf])
def test_every_number_is_checked(kind, value):
    good = SAMPLES[kind.name][-1]
    for field in dataclasses.fields(kind):
        if field.type == "float":
            with pytest.raises(ConfigError):
                dataclasses.replace(good, **{field.name: value})


@functools.cache
def whole_block(impairment):
    draws = uniforms(impairment, 200)
    return draws, *decide(impairment, draws)


@pytest.mark.parametrize("impairment", EACH)
@settings(max_examples=30, deadline=None)
@given(cut=st.integers(0, 200))
def test_a_block_in_two_parts_is_the_block_in_one(impairment, cut):
    draws, whole, after = whole_block(impairment)
    first, middle = decide(impairment, draws[:, :cut])
    second, last = decide(impairment, draws[:, cut:], state=middle)
    # Draws with memory are sums, here in another order: that shows in their state, and in where damage is, but not in nanoseconds.
    assert last == pytest.approx(after, rel=1e-12)
    parts = columns_of(first), columns_of(second)
    for field, column in columns_of(whole).items():
        joined = np.concatenate([part[field] for part in parts])
        assert np.allclose(joined, column, rtol=0.0, atol=1e-12), field


@pytest.mark.parametrize("impairment", EACH)
def test_leaving_the_copies_out_does_not_change_the_packets(impairment):
    with_copies, _ = decide(impairment, uniforms(impairment, 500))
    without, _ = decide(impairment, uniforms(impairment, 500, copying=False), copying=False)
    for field, column in columns_of(without).items():
        np.testing.assert_array_equal(columns_of(with_copies)[field], column)


@pytest.mark.parametrize("impairment", EACH)
def test_a_kind_that_is_not_random_needs_no_uniforms(impairment):
    if not impairment.is_random():
        drawn, _ = decide(impairment, uniforms(impairment, 9))
        undrawn = Columns(9, copying=True)
        impairment.decide(undrawn, np.empty((0, 0)), impairment.start())
        for field, column in columns_of(undrawn).items():
            np.testing.assert_array_equal(columns_of(drawn)[field], column)


@pytest.mark.parametrize("impairment", EACH)
@pytest.mark.parametrize("copying", [False, True])
def test_no_rows_are_looked_at_but_those_that_it_says(impairment, copying):
    draws = uniforms(impairment, 500, copying=copying)
    rows = impairment.rows_used(copying=copying)
    assert (rows > 0) == impairment.is_random()
    whole, after = decide(impairment, draws, copying=copying)
    part, after_part = decide(impairment, draws[:rows], copying=copying)
    assert after_part == after
    for field, column in columns_of(whole).items():
        np.testing.assert_array_equal(columns_of(part)[field], column)


@pytest.mark.parametrize("impairment", EACH)
def test_realised_rates_and_delays_agree_with_the_predictions(impairment):
    packets = 400_000
    columns, _ = decide(impairment, uniforms(impairment, packets))
    memory = (1 + impairment.memory()) / (1 - impairment.memory())  # the most by which it widens a variance
    for part in (columns, columns.copies):
        # The start in the good state shifts the rate by less than one burst.
        allowed = 5 * math.sqrt(impairment.loss_variance(packets)) + 10 / packets
        assert abs(part.lost.mean() - impairment.loss_rate()) <= allowed
        law = impairment.delay_law()
        allowed_s = 5 * math.sqrt(law.memory / packets) * law.sd_s + 2e-9
        assert abs(part.delay_ns.mean() / 1e9 - impairment.mean_delay_s()) <= allowed_s
        assert part.delay_ns.min() >= 0
        damaged = np.broadcast_to(part.ruined | (part.damage >= 0.0), part.packets)
        for chosen, rate in ((part.early, impairment.early_rate()), (damaged, impairment.corrupt_rate())):
            realised = np.broadcast_to(chosen, part.packets).mean()
            assert abs(realised - rate) <= 5 * math.sqrt(rate * (1 - rate) * memory / packets)
    copies = impairment.copy_rate()
    assert abs(columns.copy.mean() - copies) <= 5 * math.sqrt(copies * (1 - copies) * memory / packets)


@pytest.mark.parametrize(
    ("delay", "law"),
    [
        (Delay(0.05, 0.01), stats.uniform(0.04, 0.02)),
        (Delay(0.05, 0.01, "normal"), stats.norm(0.05, 0.01)),
    ],
)
def test_jitter_has_the_named_distribution(delay, law):
    columns, _ = decide(delay, uniforms(delay, 50_000))
    assert stats.kstest(columns.delay_ns / 1e9, law.cdf).pvalue > 1e-4
    assert delay.delay_sd_s() == pytest.approx(law.std())
    # The copy's delay is its own.
    assert abs(np.corrcoef(columns.delay_ns, columns.copies.delay_ns)[0, 1]) < 5 / math.sqrt(50_000)


def step_by_step(chain, draws, state):
    """Run the chain as tc does, one packet at a time."""
    lost = []
    for step, kill in draws[:2].T:
        lost.append(kill < (chain.bad if state else chain.good))
        state = 1 - (step < chain.r) if state else int(step < chain.p)
    return lost, state


@settings(max_examples=40, deadline=None)
@given(
    chain=st.builds(GilbertElliott, st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1)),
    start=st.integers(0, 1),
)
def test_the_vectorised_chain_is_the_chain(chain, start):
    draws = uniforms(chain, 300)
    columns, after = decide(chain, draws, state=start)
    # From bad, the vectorised chain leaves when the uniform is high, tc's when it is low: the same law.
    mirrored = draws.copy()
    state, states = start, []
    for index in range(300):
        states.append(state)
        if state:
            mirrored[0, index] = np.nextafter(1.0 - draws[0, index], 0.0)
        _, state = step_by_step(chain, mirrored[:, index : index + 1], state)
    lost, _ = step_by_step(chain, mirrored, start)
    np.testing.assert_array_equal(columns.lost, lost)
    assert after == state


@pytest.mark.parametrize(
    ("chain", "rate", "burst"),
    [
        (GilbertElliott(0.01, 0.3), 0.03226, 3.33),
        (GilbertElliott(0.05, 0.9), 0.05263, 1.111),
        (GilbertElliott(0.02, 0.2, 0.7, 0.001), 0.06455, 2.235),
        (GilbertElliott(0.1, 0.1, 0.5, 0.05), 0.275, 1.731),
        (GilbertElliott.from_loss(0.05, 4.0), 0.05, 4.0),
    ],
)
def test_bursts_have_the_length_of_the_chain(chain, rate, burst):
    columns, _ = decide(chain, uniforms(chain, 1_000_000))
    assert chain.loss_rate() == pytest.approx(rate, rel=2e-3)
    starts = np.flatnonzero(np.diff(columns.lost.astype(int), prepend=0) == 1)
    # Runs are nearly geometric, so their standard deviation is at most about their mean.
    assert abs(columns.lost.sum() / len(starts) - burst) < 5 * burst / math.sqrt(len(starts)) + 0.002


def test_a_simple_gilbert_chain_never_loses_its_first_packet():
    for run_seed in range(200):
        chain = GilbertElliott(0.9, 0.1)
        columns, _ = decide(chain, uniforms(chain, 3, run_seed=run_seed))
        assert not columns.lost[0]


@pytest.mark.parametrize(
    ("rate", "mean_burst"), [(0.05, 0.5), (0.9, 2.0), (-0.1, 2.0), (math.nan, 2.0), (0.1, math.nan)]
)
def test_impossible_bursts_are_refused(rate, mean_burst):
    with pytest.raises(ConfigError):
        GilbertElliott.from_loss(rate, mean_burst)


def test_copies_arrive_as_often_as_tc_says():
    loss, copy_rate, packets = 0.2, 0.1, 400_000
    columns = Columns(packets, copying=True)
    for impairment in (Loss(loss), Duplicate(copy_rate)):
        impairment.decide(columns, uniforms(impairment, packets), 0)
    delivered = (np.array(columns.fates()) != LOST).sum() + (columns.copy & ~columns.copies.lost).sum()
    predicted = 1 - loss + copy_rate * (1 - loss + loss**2)
    assert predicted == pytest.approx(0.884)
    # A packet arrives 0, 1 or 2 times, so the standard deviation of that number is at most 1.
    assert abs(delivered / packets - predicted) < 5 / math.sqrt(packets)


def test_fates_and_copies_of_all_four_cases():
    columns = Columns(4, copying=True)
    columns.delay(np.array([7]))
    columns.lose(np.array([False, True, False, True]))
    columns.duplicate(np.array([False, False, True, True]))
    assert columns.fates().tolist() == [7, LOST, UNUSUAL, 7]
    assert columns.copy.tolist() == [False, False, True, False]


def test_damage_and_haste_show_in_the_fates_and_loss_comes_first():
    columns = Columns(5, copying=False)
    columns.delay(np.array([7]))
    columns.lose(np.array([True, False, False, False, False]))
    columns.hasten(np.array([True, True, False, False, False]))
    columns.flip(np.array([False, False, True, False, False]), np.array([0.5]))
    columns.ruin(np.array([True, False, False, True, False]))
    assert columns.fates().tolist() == [LOST, UNUSUAL, UNUSUAL, RUINED, 7]
    assert columns.damage.tolist() == [-1.0, -1.0, 0.5, -1.0, -1.0]


@pytest.mark.parametrize("corrupt", [Corrupt(0.05, 0.3), Corrupt(0.2, 0.25, kernel=True), Corrupt(0.05, kernel=True)])
def test_bits_are_flipped_anywhere(corrupt):
    columns, _ = decide(corrupt, uniforms(corrupt, 400_000))
    for part in (columns, columns.copies):
        where = part.damage[part.damage >= 0.0]
        assert stats.kstest(where, stats.uniform.cdf).pvalue > 1e-4


def test_early_packets_are_at_least_a_gap_apart():
    reorder = Reorder(0.3, gap=4)
    columns, _ = decide(reorder, uniforms(reorder, 10_000))
    early = np.flatnonzero(columns.early)
    assert np.diff(early).min() == 4
    assert early[0] >= 3  # as in tc, where the gap's packets come first


@pytest.mark.parametrize("kernel", [False, True])
def test_with_a_correlation_draws_rest_while_the_gap_lasts(kernel):
    reorder = Reorder(0.3, 0.8, gap=4, kernel=kernel)
    columns, _ = decide(reorder, uniforms(reorder, 100_000))
    early = np.flatnonzero(columns.early)
    waits = np.diff(early) - 4
    assert waits.min() == 0
    # Consecutive draws have the correlation: one that hits is mostly followed by another, whatever the gap.
    without = Reorder(0.3, 0.8, kernel=kernel)
    hits = np.flatnonzero(decide(without, uniforms(without, 100_000))[0].early)
    again, wanted = (waits == 0).mean(), (np.diff(hits) == 1).mean()
    error = np.sqrt(wanted * (1 - wanted) * (1 / len(waits) + 1 / len(hits)))
    assert abs(again - wanted) < 5 * error
    assert again > 0.3 + 5 * error  # independent draws would hit so often


@pytest.mark.parametrize("before", [Reorder(0.3, 0.8), Reorder(0.3, 0.8, gap=4), Reorder(0.3, gap=4)], ids=str)
@pytest.mark.parametrize("after", [Reorder(0.3, 0.8), Reorder(0.3, 0.8, gap=4), Reorder(0.3, gap=4)], ids=str)
def test_a_live_change_between_gap_and_none_goes_on_with_the_right_share(before, after):
    first, then = LinkConfig((before, Delay(0.05))), LinkConfig((after, Delay(0.05)))
    link = Link(first, source="a", target="b", uniforms=BlockUniforms(1), link_id=0)
    for _ in range(999):
        link.verdict(1, 100)
    link.reconfigure(then)
    early = [link.verdict(1, 100) == 1 for _ in range(20_000)]
    assert np.mean(early) == pytest.approx(after.early_rate(), abs=0.03)
    assert any(early[:500])


def four_states(chain, draws):
    """Run the chain as tc does, one packet at a time."""
    state, lost = 1, []
    for draw in draws:
        if state == 1:
            state = 4 if draw < chain.p14 else 3 if draw < chain.p14 + chain.p13 else 1
        elif state == 2:
            state = 3 if draw < chain.p23 else 2
        elif state == 3:
            state = 2 if draw < chain.p32 else 1 if draw < chain.p32 + chain.p31 else 3
        else:
            state = 1
        lost.append(state in {3, 4})
    return lost


@pytest.mark.parametrize("chain", [LossState(0.2, 0.3, 0.4, 0.5, 0.1), LossState(0.6, 0.5, 0.5, 0.2, 0.4)])
def test_the_four_states_are_those_of_tc(chain):
    draws = uniforms(chain, 2_000)
    columns, _ = decide(chain, draws)
    assert columns.lost.tolist() == four_states(chain, draws[0])


@pytest.mark.parametrize(
    ("chain", "rate", "burst"),
    [(LossState(0.02, 0.2, 0.1, 0.5, 0.005), 0.0933, 3.0), (LossState(0.05, 0.9, 0.05, 0.5, 0.01), 0.0612, 1.044)],
)
def test_the_four_states_have_their_closed_forms(chain, rate, burst):
    assert chain.loss_rate() == pytest.approx(rate, rel=2e-3)
    assert chain.mean_burst() == pytest.approx(burst, rel=2e-3)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((0.6, 0.5, 0.0, 1.0, 0.5), "p13 \\+ p14"),
        ((0.1, 0.6, 0.5), "p31 \\+ p32"),
        ((0.1, 0.0), "p31"),
        ((0.1, 0.5, 0.2, 0.0), "p23"),
    ],
)
def test_chains_that_are_none_are_refused(values, named):
    with pytest.raises(ConfigError, match=named):
        LossState(*values)
