"""A run from start to verdict: contents, digest, exit status, Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import AWKWARD_FILES, PROGRAM, SMALL, as_settings

from scenarios.catalogue import scenario_named
from scenarios.claims import Claim
from scenarios.runner import Options, run_scenario
from scenarios.trace_file import read_trace

CLAIM = Claim(name="a", predicted=1, measured=2, tolerance=0, ok=True, source="test")


def claim_named(result, word):
    (found,) = [claim for claim in result.claims if word in claim.name]
    return found


def test_awkward_files_arrive_identical_over_a_lossy_network(finished):
    assert finished.params.loss > 0
    assert claim_named(finished, "identical").ok
    assert all(finished.invariants.values())
    assert finished.certificate.valid
    names = {event[1]: event[2] for _, event in read_trace(finished.directory / "events.msgpack") if event[0] == "FilePublished"}
    fetched = Counter(
        names[event[3]] for _, event in read_trace(finished.directory / "events.msgpack") if event[0] == "DownloadFinished"
    )
    assert set(fetched) == set(AWKWARD_FILES)


def test_the_counts_are_those_of_the_trace(finished):
    kinds = Counter(event[0] for _, event in read_trace(finished.directory / "events.msgpack"))
    assert finished.counts["events"] == kinds.total()
    assert finished.counts["downloads_finished"] == kinds["DownloadFinished"] > 0
    assert finished.counts["downloads_stopped"] == kinds["DownloadStopped"]
    assert finished.counts["blocks_delivered"] * 1024 >= finished.counts["bytes_accepted"] > 0


def test_the_stores_are_removed_once_their_files_were_judged(finished):
    assert sorted(path.name for path in finished.directory.iterdir()) == [
        "events.msgpack",
        "ledger.sqlite",
        "result.json",
        "run.json",
    ]


@pytest.mark.parametrize(
    ("interrupted", "valid", "invariant", "ok", "status"),
    [
        (False, True, True, True, 0),
        (False, True, True, None, 0),  # a claim whose assumption was switched off is no failure
        (False, True, True, False, 1),
        (False, False, True, True, 3),
        (False, True, False, True, 3),
        (False, False, True, False, 3),  # void outranks a failed claim
        (False, True, False, False, 3),
        (True, True, True, True, 130),
        (True, False, False, False, 130),
    ],
)
def test_the_exit_status_tells_the_worst_that_happened(finished, interrupted, valid, invariant, ok, status):
    result = dataclasses.replace(
        finished,
        interrupted=interrupted,
        certificate=dataclasses.replace(finished.certificate, valid=valid),
        invariants={"I1": True, "I2": invariant},
        claims=[CLAIM, dataclasses.replace(CLAIM, ok=ok)],
    )
    assert result.status == status
    assert result.to_dict()["status"] == status


def small_run(tmp_path: Path, content: Path, **options):
    options = {"seed": 1, "time": "virtual", "content": content, "quiet": True, **options}
    return run_scenario(scenario_named("flash-crowd"), SMALL, Options(out=tmp_path / "out", **options))


def test_another_seed_gives_another_digest(tmp_path, content, finished):
    assert small_run(tmp_path, content, seed=2).digest != finished.digest


def test_the_same_seed_gives_the_same_digest_in_one_process(tmp_path, content, finished):
    assert small_run(tmp_path, content).digest == finished.digest


def digest_of_another_process(out: Path, *arguments: str, hash_seed: str) -> str:
    done = subprocess.run(
        [*PROGRAM, "run", "flash-crowd", "--time", "virtual", "--quiet", "--out", str(out), "--json", "-", *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=False,
        text=True,
    )
    return str(json.loads(done.stdout)["digest"])


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_the_digest_depends_on_no_hash_seed_process_or_place(tmp_path, content, finished, hash_seed):
    settings = as_settings(SMALL)
    assert digest_of_another_process(tmp_path, "--content", str(content), *settings, hash_seed=hash_seed) == finished.digest


@pytest.mark.slow
def test_five_runs_have_one_digest_whatever_the_load(tmp_path):
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        arguments = ["--nodes", "40", "--duration", "15"]
        digests = [digest_of_another_process(tmp_path / str(n), *arguments, hash_seed=str(n)) for n in range(5)]
    finally:
        busy.kill()
        busy.wait()
    assert len(set(digests)) == 1


class Command:
    """A run in another process that is to be interrupted."""

    def __init__(self, out: Path, content: Path, *arguments: str) -> None:
        self._out = out
        endless = [*as_settings({**SMALL, "load": 0.2}), "--duration", "80000", "--content", str(content), "--quiet"]
        self._process = subprocess.Popen(
            [*PROGRAM, "run", "flash-crowd", *endless, "--out", str(out), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_a_download(self) -> None:
        """Wait until some node has begun to store a piece: then the show is on."""
        give_up_s = time.monotonic() + 30
        while not any(path.is_file() for path in (self._out / "stores").rglob("*")):
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < give_up_s
            time.sleep(0.02)

    def signal(self, *signals: signal.Signals) -> tuple[int, str, str]:
        """Send signals, one after the other was noticed, and return status, stdout and stderr."""
        try:
            for number in signals:
                self._process.send_signal(number)
                time.sleep(0.2)  # two signals at once would be one
            out, err = self._process.communicate(timeout=30)
        finally:
            self._process.kill()
            self._process.wait()
        return self._process.returncode, out, err


@pytest.mark.parametrize(
    ("clock", "signals"),
    [
        ("real", [signal.SIGINT]),
        ("real", [signal.SIGINT, signal.SIGINT]),
        ("virtual", [signal.SIGINT]),
        ("virtual", [signal.SIGTERM]),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(number.name for number in value),
)
def test_an_interrupted_run_keeps_its_results(tmp_path, content, clock, signals):
    command = Command(tmp_path / "out", content, "--time", clock)
    command.wait_for_a_download()
    status, out, err = command.signal(*signals)
    assert status == 130
    assert err == ""
    assert "interrupted: the results cover what was done until then" in out
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["interrupted"]
    assert result["status"] == 130
    assert result["invariants"]
    assert all(result["invariants"].values())
    assert result["counts"]["datagrams_sent"] > 0
    kinds = {event[0] for _, event in read_trace(tmp_path / "out" / "events.msgpack")}
    assert "DownloadStarted" in kinds
