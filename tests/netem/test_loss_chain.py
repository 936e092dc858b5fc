"""Pure: predictions of the loss chain against closed forms and exact enumeration."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from netem.impairments.gilbert_elliott import GilbertElliott
from netem.loss_chain import LossChain
from netem.packet_chain import PacketChain
from netem.tails import SLOPES, accepted, expected


def count_distribution(chain, packets):
    """Return P(losses = k) exactly, stepping the chain one packet at a time."""
    table = np.zeros((len(chain.loss), packets + 1))
    table[0, 0] = 1.0
    for _ in range(packets):
        lost = np.roll(table, 1, axis=1) * chain.loss[:, None]
        table = chain.transition.T @ (lost + table * (1.0 - chain.loss)[:, None])
    return table.sum(axis=0)


probabilities = st.floats(0.0, 1.0)
chains = st.builds(
    lambda p, r, bad, good: GilbertElliott(p, r, bad, good).loss_chain(),
    probabilities,
    st.floats(0.01, 1.0),
    probabilities,
    probabilities,
)


@settings(max_examples=50)
@given(chain=chains, packets=st.integers(0, 20))
def test_the_generating_function_equals_the_exact_distribution(chain, packets):
    exact = np.log(np.exp(np.outer(SLOPES, np.arange(packets + 1))) @ count_distribution(chain, packets))
    np.testing.assert_allclose(chain.log_mgf(np.array([packets]))[0], exact, rtol=1e-6, atol=1e-9)


# States that differ by more than floats can: the bad one is never reached.
@example(chain=GilbertElliott(0.0, 0.5, 0.0, 1.0).loss_chain(), packets=60, level=0.05)
@given(chain=chains, packets=st.integers(1, 60), level=st.sampled_from([0.05, 1e-3, 1e-6]))
def test_no_honest_count_is_refused_more_often_than_the_level(chain, packets, level):
    low, high = accepted(chain.log_mgf(np.array([packets])), level=level)
    counts = np.arange(packets + 1)
    exact = count_distribution(chain, packets)
    assert exact[counts < low[0] - 1e-9].sum() <= level / 2 + 1e-12
    assert exact[counts > high[0] + 1e-9].sum() <= level / 2 + 1e-12


def test_limits_for_independent_loss_are_nearly_as_tight_as_the_exact_binomial_ones():
    packets, rate, level = 100_000, 0.05, 1e-6
    low, high = accepted(LossChain.independent(rate).log_mgf(np.array([packets])), level=level)
    exact = stats.binom(packets, rate)
    width = exact.isf(level / 2) - exact.ppf(level / 2)
    assert width <= high[0] - low[0] <= 1.15 * width


@pytest.mark.parametrize("packets", [1, 30, 1000, 1_000_000])
def test_the_expected_count_includes_the_start_in_the_good_state(packets):
    p, r = 0.01, 0.05
    chain = GilbertElliott(p, r).loss_chain()
    decay = 1.0 - p - r
    exact = p / (p + r) * (packets - (1.0 - decay**packets) / (1.0 - decay))
    assert expected(chain.log_mgf(np.array([packets])))[0] == pytest.approx(exact, rel=1e-6, abs=1e-9)


def test_variance_of_bursty_loss_has_the_gilbert_elliott_inflation():
    p, r, bad, good = 0.02, 0.2, 0.7, 0.001
    share_bad, decay = p / (p + r), 1.0 - p - r
    rate = share_bad * bad + (1 - share_bad) * good
    sum_of_covariances = share_bad * (1 - share_bad) * (bad - good) ** 2 * decay / (1 - decay)
    chain = GilbertElliott(p, r, bad, good).loss_chain()
    assert chain.rate() == pytest.approx(rate)
    assert chain.variance(1000) == pytest.approx((rate * (1 - rate) + 2 * sum_of_covariances) / 1000)
    # The example for which the naive formula is 5.5 times too small.
    chain = GilbertElliott(0.01, 0.3).loss_chain()
    assert chain.variance(1) / (chain.rate() * (1 - chain.rate())) == pytest.approx(5.5, abs=0.1)


def test_chains_side_by_side_lose_what_either_loses():
    pair = GilbertElliott(0.1, 0.3).loss_chain().beside(LossChain.independent(0.2))
    assert pair.rate() == pytest.approx(1 - 0.75 * 0.8)
    three = pair.beside(GilbertElliott(0.2, 0.2, 0.5).loss_chain())
    assert three.transition.shape == (4, 4)
    assert three.rate() == pytest.approx(1 - 0.75 * 0.8 * 0.75)
    np.testing.assert_allclose(three.stationary @ three.transition, three.stationary)


def test_copies_cancel_losses_and_may_be_lost_themselves():
    loss, copy_rate = 0.2, 0.1
    lost = {
        (0, 0, 0): 0, (0, 0, 1): 0, (1, 0, 0): 1, (1, 0, 1): 1,
        (0, 1, 0): 0, (0, 1, 1): 1, (1, 1, 0): 0, (1, 1, 1): 0,
    }  # fmt: skip
    rate = sum(
        count * np.prod([q if x else 1 - q for x, q in zip(outcome, (loss, copy_rate, loss), strict=True)])
        for outcome, count in lost.items()
    )
    assert set(lost) == set(itertools.product((0, 1), repeat=3))
    packets = PacketChain(LossChain.independent(loss), LossChain.independent(copy_rate), LossChain.independent(0.0))
    assert packets.lost().rate() == pytest.approx(rate)


def test_mean_bursts_are_those_of_the_closed_forms():
    assert GilbertElliott(0.01, 0.3).loss_chain().mean_burst() == pytest.approx(1 / 0.3)
    assert GilbertElliott(0.02, 0.2, 0.7, 0.001).loss_chain().mean_burst() == pytest.approx(2.235, abs=1e-3)
    assert LossChain.independent(0.2).mean_burst() == pytest.approx(1 / 0.8)
    assert LossChain.independent(0.0).mean_burst() == 0.0
    assert LossChain.independent(1.0).mean_burst() == np.inf


@settings(max_examples=30)
@given(chain=chains, packets=st.integers(1, 8))
def test_the_law_of_losses_less_bursts_equals_that_of_all_outcomes(chain, packets):
    mean = chain.mean_burst()
    if not np.isfinite(mean) or mean > 5.0:
        return
    exact = np.zeros(len(SLOPES))
    for outcome in itertools.product((False, True), repeat=packets):
        state = np.eye(len(chain.loss))[0]
        for lost in outcome:
            state = (state * (chain.loss if lost else 1.0 - chain.loss)) @ chain.transition
        bursts = sum(lost and not before for lost, before in zip(outcome, (False, *outcome), strict=False))
        exact += np.exp(SLOPES * (sum(outcome) - mean * bursts)) * state.sum()
    np.testing.assert_allclose(chain.burst_log_mgf(np.array([packets]))[0], np.log(exact), rtol=1e-6, atol=1e-8)
