"""Worker processes: how a job ends is read from its return code and its directory, whatever befell it."""

from __future__ import annotations

import json

import pytest

from scenarios import jobs
from scenarios.jobs import Job, at_once, command_of, outcome_of, run_jobs


@pytest.fixture
def job(tmp_path):
    """Return a function that makes a job with an empty run directory."""

    def make(name="1"):
        (tmp_path / name).mkdir()
        return Job(
            name=name,
            scenario="flash-crowd",
            seed=7,
            time="virtual",
            values={"loss": "0.1"},
            labels={},
            content=None,
            out=tmp_path / name,
        )

    return make


def ended(job, returned, said=b""):
    return outcome_of(job, returned=returned, said=said, wall_s=1.0)


def test_the_command_says_all_that_the_job_does(job):
    words = " ".join(command_of(job()))
    assert "run flash-crowd --seed 7 --time virtual --out " in words
    assert words.endswith("--quiet --set loss=0.1")


@pytest.mark.parametrize("returned", [0, 1, 3, 130])
def test_a_result_counts_with_its_status(job, returned):
    made = job()
    (made.out / "result.json").write_text(json.dumps({"status": returned}), encoding="utf-8")
    assert ended(made, returned).status == returned
    assert ended(made, returned).result == {"status": returned}


@pytest.mark.parametrize(
    ("returned", "said", "status", "words"),
    [
        (2, b"swarmbed: port: 1 is not allowed", 2, "port: 1 is not allowed"),
        (130, b"", 130, "ended with 130"),
        (1, b"Traceback\n  + Error: x\n  +-------", 3, "Error: x"),  # a crash, and no failed claim
        (-9, b"", 3, "killed by SIGKILL"),
        (-2, b"KeyboardInterrupt", 130, "killed by SIGINT"),  # while it imported
        (
            1,
            b"Fatal Python error: init_import_site\nKeyboardInterrupt\n",
            130,
            "KeyboardInterrupt",
        ),  # while Python began
    ],
)
def test_without_a_result_the_last_words_count(job, *, returned, said, status, words):
    outcome = ended(job(), returned, said)
    assert (outcome.status, outcome.result, outcome.said) == (status, None, words)


def test_a_worker_that_was_killed_leaves_a_void_run_behind(job, monkeypatch):
    monkeypatch.setattr(jobs, "command_of", lambda _: ["/bin/sh", "-c", "echo dying >&2; kill -9 $$"])
    outcomes = []
    assert run_jobs([job("1"), job("2"), job("3")], workers=2, tell=outcomes.append)
    assert sorted(outcome.job.name for outcome in outcomes) == ["1", "2", "3"]
    assert {(outcome.status, outcome.said) for outcome in outcomes} == {(3, "killed by SIGKILL")}


def test_real_runs_go_one_at_a_time_and_virtual_ones_on_every_core():
    assert at_once("real") == 1
    assert at_once("virtual") >= 1
