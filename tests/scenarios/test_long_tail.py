"""The scenario of the long tail: what it takes, what it leaves unjudged, and a small catalogue played to its end."""

import msgspec
import pytest

from netem.errors import ConfigError
from scenarios.market.crowd import zipf_shares
from scenarios.market.shelves import fill_shelves
from scenarios.scripts import long_tail
from scenarios.scripts.long_tail import Params, check, other_odds
from tests.scenarios.whole_runs import play, verdicts


def off(zipf=0.8, **values):
    params = msgspec.structs.replace(Params(), **values)
    return other_odds(params, fill_shelves(zipf_shares(240, zipf), servers=20, copies=3))


def test_the_scenario_shares_as_many_files_as_its_catalogue_has():
    assert Params().standard_files() == 240
    assert Params(files=10).standard_files() == 10


def test_more_copies_than_servers_are_refused():
    check(Params())
    with pytest.raises(ConfigError, match="copies: 5 is not allowed; allowed: 2 to 4"):
        check(Params(nodes=8, servers_share=0.5, copies=5))


def test_what_keeps_the_odds_from_the_requests_leaves_them_unjudged():
    assert off() == ""
    assert "learned" in off(beliefs="learned")
    assert "kept" in off(keep_files=2)
    assert "lack bandwidth" in other_odds(Params(), fill_shelves(zipf_shares(5, 3.0), servers=20, copies=3))
    assert "sticky" in off(policy="sticky")
    assert off(policy="fixed") == ""  # it is judged, and fails


def test_a_small_catalogue_is_provided_to_the_last_file(tmp_path, content):
    seen = verdicts(play("long-tail", tmp_path / "run", content=content, nodes=6, duration_s=3, load=0.5))
    assert seen["files identical to their source"]
    assert seen["payouts + refunds = fees (µcr)"]
    assert seen["requests answered"]


def test_the_scenario_says_what_it_asks():
    assert "Question:" in long_tail.__doc__
    assert "huberman-wu" in long_tail.__doc__
