"""The scenario `faults`: each fault over a small market; and what a crash and a restart leave of a node."""

from __future__ import annotations

import pytest

from netem.errors import Rejection
from netem.faults import FaultMade
from node.peer import Peer
from scenarios.catalogue import scenario_named
from scenarios.options import Options
from scenarios.runner import run_scenario
from scenarios.scripts import faults
from scenarios.trace_file import read_trace

VALUES = {"nodes": 4, "fault_s": 1.0, "delay_s": 0.005, "jitter_s": 0.0}


def play(out, content, *, values=VALUES, seed=1, **options):
    chosen = Options(seed=seed, content=content, out=out, quiet=True, **{"time": "virtual"} | options)
    return run_scenario(scenario_named("faults"), values, chosen)


@pytest.fixture(scope="module")
def played(tmp_path_factory, content):
    return play(tmp_path_factory.mktemp("faults") / "out", content)


def test_every_download_ends_with_the_right_bytes_once_its_fault_is_over(played):
    assert {claim.name: claim.ok for claim in played.claims if not claim.ok} == {}
    assert played.certificate.valid
    assert all(played.invariants.values())


def test_every_fault_is_an_event_of_the_run(played):
    kinds = {event[1] for _, event in read_trace(played.directory / "events.msgpack") if event[0] == FaultMade.__name__}
    expected = (
        "impair restore partition heal hold release flap crash restart pause resume skew unskew reset half_open churn"
    )
    assert kinds == set(expected.split())


def test_a_run_with_faults_has_the_same_digest_again_and_another_for_another_seed(played, tmp_path, content):
    assert play(tmp_path / "again", content).digest == played.digest
    assert play(tmp_path / "other", content, seed=2).digest != played.digest


def test_a_download_cut_off_by_a_crash_is_refused_as_crashed(tmp_path, content, monkeypatch):
    monkeypatch.setattr(faults, "NAMES", ("crash",))
    reasons = []
    fetch = Peer.fetch

    async def noted(self, index):
        try:
            return await fetch(self, index)
        except Rejection as no:
            reasons.append(no.reason)
            raise

    monkeypatch.setattr(Peer, "fetch", noted)
    slow = VALUES | {"upload_bytes_per_s": 2e4}
    result = play(tmp_path / "out", content, values=slow)
    assert set(reasons) == {"crashed"}
    assert {claim.name: claim.ok for claim in result.claims}["downloads through: crash"]


def test_a_fault_that_is_never_undone_fails_its_claim(tmp_path, content, monkeypatch):
    monkeypatch.setattr(faults, "NAMES", ("partition",))

    def endless(bed):
        return {"partition": lambda: _Endless(bed.network.partition(faults.VICTIM, [faults.TRACKER]))}

    monkeypatch.setattr(faults, "faults", endless)
    result = play(tmp_path / "out", content, values=VALUES | {"duration_s": 20})
    assert {claim.name: claim.ok for claim in result.claims}["downloads through: partition"] is False


class _Endless:
    def __init__(self, guard):
        self.guard = guard

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        ("name,start_s,end_s\nnode-1,0,\n", "sessions.csv: line 2: 'node-1,0,' is not allowed; allowed: no gap"),
        ("name,start_s,end_s\nnode-9,0,1\n", "sessions.csv: line 2: 'node-9' is not allowed; allowed: one of node-1, "),
        (None, "sessions: 'sessions.csv' is not allowed; allowed: a text file that can be read (No such file"),
    ],
)
def test_a_trace_of_sessions_that_makes_no_sense_is_refused_before_anything_runs(swarmbed, tmp_path, trace, message):
    if trace is not None:
        (tmp_path / "sessions.csv").write_text(trace)
    ended = swarmbed("run", "faults", "--time", "virtual", "--set", "sessions=sessions.csv", "--out", "out")
    assert (ended.status, ended.err[: len("swarmbed: ") + len(message)]) == (2, f"swarmbed: {message}")
    assert not (tmp_path / "out").exists()


def test_a_trace_of_sessions_takes_the_place_of_random_ones(tmp_path, content, monkeypatch):
    monkeypatch.setattr(faults, "NAMES", ("churn of the servers",))
    path = tmp_path / "sessions.csv"
    path.write_text("name,start_s,end_s\nnode-1,0.5,inf\nnode-2,0,0.25\n")
    result = play(tmp_path / "out", content, values=VALUES | {"sessions": str(path)})
    told = [event[1:3] for _, event in read_trace(result.directory / "events.msgpack") if event[0] == "FaultMade"]
    assert told == [
        ["churn", "2 hosts, 2 sessions"],
        ["crash", "node-1"],
        ["crash", "node-2"],
        ["restart", "node-1"],
        ["restart", "node-2"],
    ]


EARLY = '''"""Do changes made before there are nodes reach other processes?

Source: a test.
"""

from scenarios import Bed, Params


async def run(bed: Bed) -> None:
    bed.network.impair_all("loss 40%")
    await bed.start()
    with bed.lasting(2):
        index = await bed.peers[0].publish(bed.content[0].name, bed.content[0].path)
        await bed.fetch_all(index)


def claims(record):
    return []
'''


@pytest.mark.slow
def test_a_change_made_before_there_are_nodes_reaches_other_processes(tmp_path, content):
    path = tmp_path / "early.py"
    path.write_text(EARLY)
    options = Options(content=content, out=tmp_path / "out", quiet=True, procs=2)
    result = run_scenario(scenario_named(str(path)), {"nodes": 4, "loss": 0.0}, options)
    loss = result.certificate.loss
    assert loss.configured == pytest.approx(0.4)
    assert loss.ok


@pytest.mark.slow
def test_over_two_processes_too_every_download_ends(tmp_path, content):
    result = play(tmp_path / "out", content, values=VALUES | {"fault_s": 0.5}, time="real", procs=2)
    held = {claim.name: claim.ok for claim in result.claims}
    assert [name for name, ok in held.items() if not ok and "through" in name] == []
    assert held["files identical to their source"]
    assert held["payouts + refunds = fees (µcr)"]
    assert result.certificate.conservation.missing == 0
    assert all(result.invariants.values())
