"""The scenario of the four markets: who does what, what is refused, and how verdicts follow from means."""

import pytest

from netem.errors import ConfigError
from scenarios.calibration import quick_calibration
from scenarios.capacity import most_nodes, processes_needed
from scenarios.content import Shared
from scenarios.market.waiting_claims import Mean
from scenarios.scripts import delay
from scenarios.scripts.delay import Params, check, compared, in_pairs

GOOD = [Mean(4.0, 4.1, 0.3, 0.0), Mean(3.0, 3.1, 0.25, 0.0)]


def verdicts(means, off=""):
    return [claim.ok for claim in compared("pooled", means, off=off, source="s", note="n")]


def test_the_nodes_are_enough_for_all_roles_and_each_market_has_its_own_files():
    for nodes in (24, 48, 100, 1_000):
        params = Params(nodes=nodes)
        servers = 2 * (params.pooled_servers() + params.single_servers())
        assert nodes - 1 <= params.clients() + servers <= nodes
        assert params.pooled_servers() <= 20
    assert Params().standard_files() == 2 * (4 + 12)


def test_more_titles_than_servers_and_a_queue_without_end_are_refused():
    check(Params())
    with pytest.raises(ConfigError, match="titles: 8 is not allowed; allowed: 2 to 6"):
        check(Params(nodes=24, titles=8))
    with pytest.raises(ConfigError, match=r"load: 0.8 is not allowed; allowed: at most 0.6\d+ with zipf=2"):
        check(Params(load=0.8))


def test_a_host_of_any_size_can_be_fitted():
    calibration = quick_calibration()
    assert most_nodes(Params(), calibration) > 0
    assert processes_needed(Params(), calibration) > 0


def test_files_are_dealt_by_size_so_that_both_markets_of_a_pair_have_like_ones(tmp_path):
    files = [Shared(str(size), tmp_path, size) for size in range(12, 0, -1)]
    assert [file.size_bytes for file in in_pairs(files, 2)] == [12, 10, 11, 9, 8, 6, 4, 2, 7, 5, 3, 1]


def test_means_and_ratio_are_judged_each_by_its_own():
    assert verdicts(GOOD) == [True, True, True]
    assert verdicts([Mean(4.0, 4.4, 0.3, 0.0), GOOD[1]]) == [False, True, True]
    assert verdicts([Mean(4.0, 3.0, 0.3, 0.0), GOOD[1]]) == [False, True, False]  # as if both split alike
    assert verdicts([Mean(4.0, None, 0.3, 0.0), GOOD[1]]) == [False, True, False]
    assert verdicts(GOOD, off="a topology") == [None, None, None]


def test_the_scenario_says_what_it_asks():
    assert "Question:" in delay.__doc__
    assert "huberman-wu" in delay.__doc__
