"""Whole runs of repertoires: the claims hold, and fail when licences are not asked for, or nobody looks at what to store."""

import json

import pytest

from scenarios.market.store_claims import FILES_NAME, PLACES_NAME
from scenarios.result import EXIT_CLAIM
from tests.scenarios.whole_runs import (
    assert_every_claim_holds,
    assert_every_claim_holds_in_real_time,
    not_held,
    play,
    verdicts,
)
from tracker.repertoire import Repertoire

SMALL = {
    "nodes": 7,
    "servers_share": 0.5,
    "providers": 1,
    "duration_s": 6.0,
    "upload_bytes_per_s": 1e6,
    "restock_s": 1.0,
}

REVENUE_NAME = "revenue of provider 0 (µcr)"


def test_a_tracker_that_does_not_ask_for_licences_is_seen(tmp_path, content, monkeypatch):
    monkeypatch.setattr(Repertoire, "check", lambda *_: None)
    seen = verdicts(play("repertoire", tmp_path / "run", content=content, **SMALL))
    assert seen["tries to serve without a licence, refused"] is False
    assert seen["files held or served without a licence"] is False
    assert seen[REVENUE_NAME] is True
    assert seen["files identical to their source"] is True


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_every_claim_holds_in_virtual_time(tmp_path, seed):
    assert_every_claim_holds(play("repertoire", tmp_path / "run", seed=seed))


@pytest.mark.slow
def test_popular_stores_offer_nothing_else_and_that_is_predicted(tmp_path):
    result = play("repertoire", tmp_path / "run", storage="popular")
    assert not_held(result) == []
    assert {claim.name: claim.measured for claim in result.claims}[FILES_NAME] == 2


@pytest.mark.slow
def test_servers_that_hardly_ever_look_do_not_come_to_rest(tmp_path):
    result = play("repertoire", tmp_path / "run", restock_s=3600, duration_s=20, seed=1)
    assert verdicts(result)[PLACES_NAME] is False
    assert result.status == EXIT_CLAIM


@pytest.mark.slow
def test_providers_servers_and_the_node_without_a_licence_may_live_in_other_processes(
    start_swarmbed, tmp_path, content
):
    values = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    spread = ("run", "repertoire", "--procs", "2", "--quiet", "--content", content, "--out", tmp_path / "out", *values)
    with start_swarmbed(*spread) as process:
        _, complaints = process.communicate(timeout=120)
    assert complaints == ""
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    seen = {claim["name"]: claim["ok"] for claim in result["claims"]}
    for name in (REVENUE_NAME, "tries to serve without a licence, refused", "files held or served without a licence"):
        assert seen[name], result["claims"]
    assert all(result["invariants"].values())


@pytest.mark.slow
def test_every_claim_holds_on_real_sockets(tmp_path):
    assert_every_claim_holds_in_real_time(play("repertoire", tmp_path / "run", time="real"))
