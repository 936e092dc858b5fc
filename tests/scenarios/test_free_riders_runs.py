"""Whole runs with free riders: every claim holds with and without payment, and a free rider who serves after all is found out."""

import pytest

from node.peer import Peer
from node.roles.free_rider import FreeRider
from scenarios.market.riding_claims import GAIN, REFUSALS, RIDER_FILES
from scenarios.result import EXIT_CLAIM, EXIT_OK
from scenarios.trace_file import read_trace
from tests.scenarios.whole_runs import (
    assert_every_claim_holds,
    assert_every_claim_holds_in_real_time,
    not_held,
    play,
    verdicts,
)

SMALL = {
    "nodes": 5,
    "duration_s": 6.0,
    "requests_per_node": 5.0,
    "free_riders": 0.4,
    "keep_files": 1,  # so that everybody always lacks a file
    "endowment_credits": 2_000_000,
    "upload_bytes_per_s": 1e6,
}


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for number in range(8):
        (folder / f"{number}").write_bytes(bytes((number + i * i // 7) % 256 for i in range(9_000)))
    return folder


def wishes(result):
    """Return who wanted a file, in ns after the market opened."""
    events = list(read_trace(result.directory / "events.msgpack"))
    opened_ns = next(time_ns for time_ns, (kind, *_) in events if kind == "MarketOpened")
    return [(time_ns - opened_ns, event[2]) for time_ns, event in events if event[0] == "Arrival"]


def test_the_same_nodes_want_files_at_the_same_times_whether_they_pay_or_not(tmp_path, small_files):
    results = {
        pay: play("free-riders", tmp_path / pay, content=small_files, payment=pay, **SMALL) for pay in ("on", "off")
    }
    assert [claim.name for result in results.values() for claim in result.claims if claim.ok is False] == []
    assert wishes(results["on"]) == wishes(results["off"])
    got = {pay: {claim.name: claim.measured for claim in result.claims} for pay, result in results.items()}
    assert got["on"][RIDER_FILES] == 2 < got["off"][RIDER_FILES]
    assert got["on"][REFUSALS] == 2 * (got["off"][RIDER_FILES] - 2)
    assert got["on"][GAIN] > 0 == got["off"][GAIN]


def test_nothing_but_empty_files_is_refused(swarmbed, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).touch()
    outcome = swarmbed("run", "free-riders", "--time", "virtual", "--content", folder, "--quiet")
    assert outcome.status == 2
    assert outcome.err.splitlines() == [
        "swarmbed: --content: 'empty files' is not allowed; allowed: at least one file that is not empty"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("payment", ["on", "off"])
def test_every_claim_holds_in_virtual_time(tmp_path, seed, payment):
    assert_every_claim_holds(play("free-riders", tmp_path / "run", seed=seed, payment=payment))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_every_claim_holds_with_none_or_many_free_riders(tmp_path, share):
    result = play("free-riders", tmp_path / "run", free_riders=share)
    assert False not in verdicts(result).values()
    assert result.status == EXIT_OK


@pytest.mark.slow
def test_free_riders_who_serve_after_all_are_found_out(tmp_path, monkeypatch):
    for side in ("_serve_kept", "holds", "stored"):
        monkeypatch.setattr(FreeRider, side, getattr(Peer, side))
    result = play("free-riders", tmp_path / "run")
    assert {RIDER_FILES, REFUSALS, GAIN} <= set(not_held(result))
    assert result.status == EXIT_CLAIM


@pytest.mark.slow
def test_every_claim_holds_on_real_sockets_in_two_processes(tmp_path):
    assert_every_claim_holds_in_real_time(play("free-riders", tmp_path / "run", time="real", procs=2))
