"""Pure: a million draws of every model against its closed forms, each within five of the model's own standard errors.

Where draws have memory, the standard error is that of the chain, not of independent draws.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from netem import distributions
from netem.correlation import FRESH, filtered_words, normals
from netem.impairments.base import MOST_CORRELATION, Columns
from netem.impairments.corrupt import Corrupt
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.impairments.loss_state import LossState
from netem.impairments.reorder import Reorder
from netem.memory_loss import correlated_chain, kernel_pair_rate, kernel_rate, pair_rate
from netem.randomness import BlockUniforms

DRAWS = 1_000_000
MOST_Z = 5.0


def draw(impairment, *, copying=False, packets=DRAWS):
    source = BlockUniforms(7)
    rows = impairment.rows + (impairment.copy_rows if copying else 0)
    uniforms = source.draw(source.key("accuracy", impairment.name), block=0, shape=(rows, packets))
    columns = Columns(packets, copying=copying)
    impairment.decide(columns, uniforms, impairment.start())
    return columns


def long_run_variance(transition, stationary, reward):
    """Return N times the variance of a mean of rewards (one a state, centred) over N steps of a chain, N large."""
    centred = reward - stationary @ reward
    fundamental = np.linalg.solve(np.eye(len(reward)) - transition + stationary, centred)
    return float(stationary @ (centred * (2.0 * fundamental - centred)))


def chain_of_outcomes(chain):
    """Return the chain of (state, last packet lost, this packet lost): transition, stationary law, and the two outcomes."""
    states = list(itertools.product(range(len(chain.loss)), (0, 1), (0, 1)))
    index = {state: place for place, state in enumerate(states)}
    transition = np.zeros((len(states), len(states)))
    for (state, _, now), place in index.items():
        for after, outcome in itertools.product(range(len(chain.loss)), (0, 1)):
            loss = chain.loss[after] if outcome else 1.0 - chain.loss[after]
            transition[place, index[after, now, outcome]] += chain.transition[state, after] * loss
    values, vectors = np.linalg.eig(transition.T)
    stationary = np.real(vectors[:, np.argmin(abs(values - 1.0))])
    before, now = np.array([state[1] for state in states]), np.array([state[2] for state in states])
    return transition, stationary / stationary.sum(), before, now


@pytest.mark.parametrize(
    "impairment",
    [
        Loss(0.01),
        Loss(0.3),
        Loss(0.05, 0.5),
        Loss(0.2, 0.9),
        Loss(0.1, 0.25, kernel=True),
        Loss(0.3, 0.5, kernel=True),
        GilbertElliott(0.01, 0.3),
        GilbertElliott(0.05, 0.9),
        GilbertElliott(0.02, 0.2, 0.7, 0.001),
        GilbertElliott(0.1, 0.1, 0.5, 0.05),
        GilbertElliott.from_loss(0.02, 3.0),
        LossState(0.02, 0.2, 0.1, 0.5, 0.005),
        LossState(0.05, 0.9, 0.05, 0.5, 0.01),
        LossState(0.01, 0.99),
    ],
    ids=str,
)
def test_losses_pairs_and_bursts(impairment):
    lost = draw(impairment).lost
    pairs = lost[1:] & lost[:-1]
    starts = lost[1:] & ~lost[:-1]
    chain = impairment.loss_chain()
    transition, stationary, before, now = chain_of_outcomes(chain)
    rate, burst = impairment.loss_rate(), impairment.mean_burst()
    pair = chain.pair_rate()
    if isinstance(impairment, Loss) and impairment.correlation:
        pair = (kernel_pair_rate if impairment.kernel else pair_rate)(impairment.probability, impairment.correlation)
    assert burst == pytest.approx(rate / (rate - pair), rel=1e-6)
    for realised, predicted, reward in (
        (lost.mean(), rate, now),
        (pairs.mean(), pair, before * now),
        (lost.sum() / starts.sum() - burst, 0.0, (now - burst * now * (1 - before)) / (rate - pair)),
    ):
        error = math.sqrt(long_run_variance(transition, stationary, reward) / DRAWS)
        assert abs(realised - predicted) < MOST_Z * error


@pytest.mark.parametrize(("probability", "rho"), [(0.003, 0.999), (0.3, 0.999), (0.05, 0.99)])
def test_bursts_of_a_long_memory_have_their_length(probability, rho):
    loss = Loss(probability, rho)
    # Two packets of many links each, as the runs of one link with such a memory would be too few.
    before, fresh = np.random.default_rng(3).standard_normal((2, DRAWS))
    after = rho * before + math.sqrt(1.0 - rho * rho) * fresh
    first, second = before < stats.norm.ppf(probability), after < stats.norm.ppf(probability)
    ends = first & ~second
    share = 1.0 / loss.mean_burst()  # of the losses, those that are the last of their burst
    assert abs(ends.sum() / first.sum() - share) < MOST_Z * math.sqrt(share * (1.0 - share) / first.sum())
    assert pair_rate(probability, rho) == pytest.approx(probability * (1.0 - share), rel=1e-9)


@pytest.mark.parametrize(("probability", "rho"), [(0.46, 0.985), (0.48, 0.995)])
def test_a_long_memory_in_the_kernel_has_its_rate_and_bursts(probability, rho):
    # Many links at once, each of them long since settled, as one with such a memory would take long.
    chance = np.random.default_rng(3)
    values = np.full(DRAWS // 4, 0.5)
    for _ in range(math.ceil(8 / (1 - rho))):
        values = (1 - rho) * chance.random(len(values)) + rho * values
    first = values < probability
    last = first & ~((1 - rho) * chance.random(len(values)) + rho * values < probability)
    rate, burst = kernel_rate(probability, rho), Loss(probability, rho, kernel=True).mean_burst()
    for realised, predicted in ((first, rate), (last, rate / burst)):
        # The next term of the expansion is a few thousandths of the rate.
        error = math.sqrt(predicted * (1 - predicted) / len(first))
        assert abs(realised.mean() - predicted) < MOST_Z * error + 0.01 * predicted


@pytest.mark.parametrize("kernel", [False, True])
@pytest.mark.parametrize("rho", [0.01, 0.5, 0.98, 0.981, MOST_CORRELATION])
def test_every_correlation_that_is_allowed_has_a_law(rho, kernel):
    for probability in (1e-12, 1e-9, 1e-6, 0.001, 0.45, 0.5, 0.55, 0.999, 1 - 1e-6, 1 - 1e-10):
        loss = Loss(probability, rho, kernel=kernel)
        rate = loss.loss_rate()
        assert 0.0 <= rate <= 1.0
        assert loss.loss_variance(1000) >= -1e-15
        assert loss.mean_burst() >= 1.0 or rate == 0.0


def test_a_correlation_that_leaves_nothing_or_everything_has_a_burst_all_the_same():
    assert Loss(0.003, 0.999, kernel=True).mean_burst() == 0.0
    assert Loss(0.999, 0.999, kernel=True).mean_burst() == math.inf


@pytest.mark.parametrize(("p", "r", "widened"), [(0.01, 0.3, 5.5), (0.05, 0.9, 1.1)])
def test_the_variance_of_a_measured_rate_is_that_of_the_chain(p, r, widened):
    chain = GilbertElliott(p, r)
    rate = chain.loss_rate()
    assert chain.loss_variance(DRAWS) * DRAWS / (rate * (1 - rate)) == pytest.approx(widened, rel=0.03)
    means = draw(chain).lost.reshape(1000, -1).mean(axis=1)
    # A variance of 1000 values has a relative standard error of sqrt(2 / 999).
    assert abs(means.var() / chain.loss_variance(1000) - 1) < MOST_Z * math.sqrt(2 / 999)


@pytest.mark.parametrize(("probability", "rho"), [(0.05, 0.5), (0.2, 0.9)])
def test_correlated_losses_vary_as_their_chain_says(probability, rho):
    loss = Loss(probability, rho)
    means = draw(loss).lost.reshape(1000, -1).mean(axis=1)
    assert abs(means.var() / loss.loss_variance(1000) - 1) < MOST_Z * math.sqrt(2 / 999) + 0.02  # 1000 is not infinity


@pytest.mark.parametrize(
    ("reorder", "share"),
    [
        (Reorder(0.25), 0.25),
        (Reorder(0.5, gap=5), 1 / 6),
        (Reorder(1.0, gap=5), 0.2),
        (Reorder(0.25, 0.5), 0.25),
        (Reorder(0.2, 0.25, kernel=True), 0.102),
        (Reorder(0.25, 0.5, gap=5), 0.125),
        (Reorder(0.2, 0.25, gap=3, kernel=True), 0.102 / 1.204),
    ],
    ids=str,
)
def test_the_share_of_early_packets(reorder, share):
    p, gap = reorder.probability, reorder.gap
    assert reorder.early_rate() == pytest.approx(share, rel=2e-3)
    if reorder.correlation:
        # A renewal argument: n draws with s early ones take n + s (gap - 1) packets.
        draws = correlated_chain(p, reorder.correlation, kernel=reorder.kernel)
        variance = draws.variance(DRAWS) / (1 + draws.rate() * (gap - 1)) ** 3
    else:  # early packets are renewals, a gap and a geometric wait apart
        variance = (1 - p) / p**2 * reorder.early_rate() ** 3 / DRAWS
    realised = draw(reorder).early.mean()
    assert abs(realised - reorder.early_rate()) <= MOST_Z * math.sqrt(variance) + gap / DRAWS


@pytest.mark.parametrize("reorder", [Reorder(0.3, 0.8, gap=4), Reorder(0.05, 0.5, gap=2), Reorder(0.5, gap=5)], ids=str)
def test_no_count_of_early_packets_varies_more_than_its_law(reorder):
    means = draw(reorder).early.reshape(1000, -1).mean(axis=1)
    allowed = reorder.early_chain().variance(1000)
    assert means.var() < allowed * (1 + MOST_Z * math.sqrt(2 / 999))


@pytest.mark.parametrize(("copy", "loss"), [(0.1, 0.2), (0.5, 0.05), (0.01, 0.5)])
def test_copies_delivered_under_duplication(copy, loss):
    columns = Columns(DRAWS, copying=True)
    for impairment in (Duplicate(copy), Loss(loss)):
        source = BlockUniforms(3)
        shape = (impairment.rows + impairment.copy_rows, DRAWS)
        uniforms = source.draw(source.key("accuracy", impairment.name), block=0, shape=shape)
        impairment.decide(columns, uniforms, impairment.start())
    fates = np.array(columns.fates())  # negative for a packet with a copy, too
    delivered = (fates >= 0).astype(int) + columns.copy + (columns.copy & ~columns.copies.lost)
    both, two = copy * loss, copy * (1 - loss) ** 2
    mean = 1 - loss + copy * (1 - loss + loss**2)
    one = both + (1 - copy) * (1 - loss) + copy * (1 - loss) * loss
    assert one + 2 * two == pytest.approx(mean)
    assert abs(delivered.mean() - mean) < MOST_Z * math.sqrt((one + 4 * two - mean**2) / DRAWS)


@pytest.mark.parametrize(
    "corrupt", [Corrupt(0.01), Corrupt(0.1, 0.5), Corrupt(0.1, 0.25, "as-loss", kernel=True)], ids=str
)
def test_the_share_of_damaged_packets(corrupt):
    columns = draw(corrupt)
    damaged = (columns.damage >= 0.0).mean() if corrupt.effect == "deliver" else columns.ruined.mean()
    variance = correlated_chain(corrupt.probability, corrupt.correlation, kernel=corrupt.kernel).variance(DRAWS)
    assert abs(damaged - corrupt.corrupt_rate()) < MOST_Z * math.sqrt(variance)


@pytest.mark.parametrize("duplicate", [Duplicate(0.1, 0.5), Duplicate(0.3, 0.25, kernel=True)], ids=str)
def test_the_share_of_copied_packets(duplicate):
    variance = correlated_chain(duplicate.probability, duplicate.correlation, kernel=duplicate.kernel).variance(DRAWS)
    assert abs(draw(duplicate).copy.mean() - duplicate.copy_rate()) < MOST_Z * math.sqrt(variance)


def mixed_cdf():
    """Return the law of a quarter of a normal and three quarters of Pareto's quantile, cut and standardised, as a table."""
    share = (np.arange(200_000) + 0.5) / 200_000 * (1 - 2 * 2**-12) + 2**-12
    values = 0.25 * stats.norm.ppf(share) + 0.75 * (4 / 3) * (stats.pareto.ppf(share, 3) - 1.5)
    values = (values - values.mean()) / values.std()
    return lambda x: np.interp(x, values, np.linspace(0, 1, len(values)))


PARETO = stats.truncpareto(3, 16)
LAWS = {
    "uniform": stats.uniform(-1, 2).cdf,
    "normal": stats.norm.cdf,
    "pareto": lambda x: PARETO.cdf(PARETO.mean() + x * PARETO.std()),
    "paretonormal": mixed_cdf(),
}


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("name", LAWS)
def test_jitter_has_the_stated_shape_with_and_without_memory(name, rho):
    jitter = Delay(1.0, 0.01, name, rho)
    delays_s = draw(jitter).delay_ns / 1e9
    apart = (
        1 + math.ceil(math.log(1e-3) / math.log(rho)) if rho else 1
    )  # draws that far apart are as good as independent
    found = stats.kstest((delays_s[::apart] - 1.0) / 0.01, LAWS[name])
    assert found.pvalue > 1e-6
    if not rho:
        assert found.statistic < 0.003
    law = jitter.delay_law()
    assert abs(delays_s.mean() - jitter.mean_delay_s()) < MOST_Z * law.sd_s * math.sqrt(law.memory / DRAWS)
    if name != "uniform":
        assert jitter.delay_sd_s() == pytest.approx(0.01)
    # The copula's correlation shows, a little weaker where the law is not normal.
    measured = np.corrcoef(delays_s[1:], delays_s[:-1])[0, 1]
    assert rho - 0.15 < measured + MOST_Z / 1000
    assert measured < rho + MOST_Z / 1000


@pytest.mark.parametrize("name", LAWS)
def test_honest_laws_have_the_moments_they_state(name):
    law = distributions.law(name)
    values = law.quantiles((np.arange(DRAWS) + 0.5) / DRAWS)
    assert values.mean() == pytest.approx(law.mean, abs=1e-4)
    assert values.std() == pytest.approx(law.sd, rel=2e-3)
    assert np.all(np.diff(values) >= 0.0)


def test_a_clamped_normal_has_its_closed_form():
    jitter = Delay(0.01, 0.02, "normal")
    expected = 0.01 * stats.norm.cdf(0.5) + 0.02 * stats.norm.pdf(0.5)
    assert jitter.mean_delay_s() == pytest.approx(expected, rel=1e-5)  # as exact as a table of quantiles is
    assert abs(draw(jitter).delay_ns.mean() / 1e9 - expected) < MOST_Z * 0.02 / math.sqrt(DRAWS)


@pytest.mark.parametrize(
    ("name", "moments"),
    [
        ("normal", (-0.0008, 1.0, -0.01, -4.0, 0.0, 1.645, 2.327, 3.52)),
        ("pareto", (-0.0335, 0.820, 2.67, -0.667, -0.320, 1.618, 4.0, 4.0)),
        ("paretonormal", (-0.0253, 0.834, 1.94, -1.5, -0.240, 1.625, 3.58, 3.88)),
    ],
)
def test_the_kernels_tables_have_their_moments(name, moments):
    table = distributions.kernel_table(name) / 8192
    low, middle, p95, p99, high = np.quantile(table, [0, 0.5, 0.95, 0.99, 1])
    found = (table.mean(), table.std(), stats.skew(table), low, middle, p95, p99, high)
    assert len(table) == 4096
    assert found == pytest.approx(moments, abs=0.01)  # entries are up to 0.009 apart at p99


@pytest.mark.parametrize(
    ("rho", "expected"),
    [
        (0.25, (4.0e-9, 2.4e-6, 5.7e-5, 0.0019, 0.0175, 0.102, 0.233, 0.5)),
        (0.5, (1.2e-16, 3.5e-11, 1.7e-8, 1.6e-5, 0.00108, 0.0294, 0.129, 0.5)),
        (0.75, (0.0, 0.0, 0.0, 2.8e-11, 5.5e-7, 0.00115, 0.032, 0.5)),
    ],
)
def test_the_kernels_correlation_leaves_the_rate_that_is_known(rho, expected):
    asked = (0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
    assert [kernel_rate(p, rho) for p in asked] == pytest.approx(expected, rel=0.04, abs=1e-17)


def test_the_kernels_filter_is_the_kernels_bit_for_bit():
    uniforms = BlockUniforms(5).draw(bytes(16), block=0, shape=(1, 1000))[0].copy()
    rho = round(0.25 * (2**32 - 1))
    words, _ = filtered_words(uniforms, 0.25, 123.0)
    last = 123
    for uniform, word in zip(uniforms, words.tolist(), strict=True):
        last = (int(uniform * 2**32) * (2**32 - (rho + 1)) + last * (rho + 1)) >> 32
        assert word == last


@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_in_the_kernel_a_correlation_of_jitter_comes_to_nothing(name):
    delays_ns = draw(Delay(0.1, 0.01, name, 0.5, kernel=True), packets=200_000).delay_ns
    apart = draw(Delay(0.1, 0.01, name, kernel=True), packets=200_000).delay_ns
    assert abs(np.corrcoef(delays_ns[1:], delays_ns[:-1])[0, 1]) < MOST_Z / math.sqrt(200_000)
    assert stats.ks_2samp(delays_ns, apart).pvalue > 1e-6


def test_kernel_jitter_is_rounded_as_in_c():
    jitter = Delay(0.1, 0.0123456, "pareto", kernel=True)
    table = distributions.kernel_table("pareto")
    words = np.arange(4096, dtype=np.int64)
    for word, delay_ns in zip(words.tolist(), jitter._kernel_delays_ns(words).tolist(), strict=True):
        entry, sigma = int(table[word]), 12_345_600
        scaled = sigma % 8192 * entry + (4096 if entry >= 0 else -4096)
        assert delay_ns == int(scaled / 8192) + sigma // 8192 * entry + 100_000_000


def test_correlated_normals_are_normal_and_correlated():
    uniforms = BlockUniforms(9).draw(bytes(16), block=0, shape=(1, DRAWS))[0]
    values, _ = normals(uniforms, 0.8, FRESH)
    for lag in (1, 2, 5):
        # Bartlett: the standard error of an autocorrelation is at most sqrt((1 + rho^2) / (1 - rho^2) / N).
        error = math.sqrt((1 + 0.64) / (1 - 0.64) / DRAWS)
        assert abs((values[lag:] * values[:-lag]).mean() - 0.8**lag) < MOST_Z * error * 2
