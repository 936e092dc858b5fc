"""The four markets of the scenario `delay`: splits as predicted, and mean times that notice the wrong split."""

import msgspec
import numpy as np
import pytest

from scenarios.content import Shared
from scenarios.market.crowd import zipf_shares
from scenarios.market.delay_markets import pooled_mean, share_out, single_long_run, single_mean, split_files
from scenarios.market.waiting import line_times
from scenarios.market.waiting_claims import extra_s
from scenarios.predictions.market.delay import Input, predict
from scenarios.scripts.delay import Params
from tracker.messages import BLOCK_BYTES

P = zipf_shares(4, 2.0)
SERVERS = 12
SIZE_BYTES = 512_000
PARAMS = msgspec.structs.replace(Params(), loss=0.0)
UNIT_S = SIZE_BYTES / (4 * PARAMS.goodput_bytes_per_s())
SERVICE_S = SIZE_BYTES / PARAMS.goodput_bytes_per_s()


@pytest.fixture
def markets(tmp_path):
    files = [Shared(str(number), tmp_path, SIZE_BYTES) for number in range(2 * (4 + SERVERS))]
    return split_files(files, P, servers=SERVERS)


def test_the_markets_share_the_files_out_and_split_their_bandwidth_by_p_and_by_its_root(markets):
    assert [market.first for market in markets] == [0, 4, 8, 20]
    names = [file.name for market in markets for file in market.files]
    assert names == [str(number) for number in range(32)]
    roots = np.sqrt(P) / np.sqrt(P).sum()
    assert markets[0].shares == pytest.approx(P)
    assert markets[1].shares == pytest.approx(roots)
    assert np.abs(markets[2].shares - P).max() < 1 / SERVERS
    assert np.abs(markets[3].shares - roots).max() < 1 / SERVERS


def test_every_title_has_a_server_and_the_rest_go_where_there_are_fewest_for_the_share():
    assert share_out(np.array([0.98, 0.01, 0.01]), 10).tolist() == [8, 1, 1]
    assert share_out(np.array([0.5, 0.3, 0.2]), 10).tolist() == [5, 3, 2]


def pooled_times(market, shares):
    return {market.first + j: [(0.0, UNIT_S / share)] * 2 for j, share in enumerate(shares)}


def test_pooled_means_are_those_predicted_and_the_split_of_the_other_market_fails(markets):
    told = predict(Input(p=P.tolist(), model="pooled"))
    for market, key in zip(markets, ("mean_time_proportional", "mean_time"), strict=False):
        mean = pooled_mean(PARAMS, market, pooled_times(market, market.shares), servers=4)
        assert mean.predicted == pytest.approx(told[key])
        assert mean.measured == pytest.approx(mean.predicted)
        assert mean.claim("m", source="s").ok
        other = markets[1] if market is markets[0] else markets[0]
        wrong = pooled_mean(PARAMS, market, pooled_times(market, other.shares), servers=4)
        assert wrong.claim("m", source="s").ok is False


def test_equal_bandwidth_for_all_titles_fails_in_the_market_that_splits_by_roots(markets):
    # On average that takes Σ p_j n = n, as long as by p.
    equal = pooled_mean(PARAMS, markets[1], pooled_times(markets[1], np.full(4, 0.25)), servers=4)
    assert equal.measured == pytest.approx(4.0)
    assert equal.claim("m", source="s").ok is False


def test_a_title_never_fetched_is_too_little_data(markets):
    times = pooled_times(markets[0], markets[0].shares)
    del times[2]
    assert pooled_mean(PARAMS, markets[0], times, servers=4).claim("m", source="s").ok is False


def single_times(market, *, slower):
    starts = [0.0, 1.0, 2.0, 20.0]
    took = line_times(starts, [SERVICE_S * slower] * 4)
    return {market.first + j: list(zip(starts, took, strict=True)) for j in range(SERVERS)}


def test_single_means_follow_the_lines_that_formed_and_slower_servers_fail(markets):
    mean = single_mean(PARAMS, markets[2], single_times(markets[2], slower=1.0))
    assert mean.measured == pytest.approx(mean.predicted)
    assert mean.claim("m", source="s").ok
    assert single_mean(PARAMS, markets[2], single_times(markets[2], slower=1.2)).claim("m", source="s").ok is False
    assert single_mean(PARAMS, markets[2], {}).claim("m", source="s").ok is False


def test_a_block_sent_twice_keeps_the_server_from_all_who_wait_behind_it(markets):
    spacing_s = BLOCK_BYTES / PARAMS.goodput_bytes_per_s()
    mean = single_mean(PARAMS, markets[2], single_times(markets[2], slower=1 + spacing_s / SERVICE_S))
    longer_s, _ = extra_s(PARAMS, spacing_s=spacing_s, servers=1)
    assert mean.measured - mean.predicted == pytest.approx((1 + 2 + 3 + 4) / 4 * spacing_s / SERVICE_S)  # all wait
    assert mean.longer == pytest.approx(mean.measured - mean.predicted + (longer_s - spacing_s) / SERVICE_S)


def test_in_the_long_run_the_single_model_is_best_by_p_and_the_pooled_one_by_roots(markets):
    by_p, by_root = (single_long_run(market, load=0.6) for market in markets[2:])
    assert by_p < by_root
    pooled = [float((market.p / market.shares).sum()) for market in markets[:2]]
    assert pooled[0] > pooled[1]
