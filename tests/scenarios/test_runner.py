"""A run from start to verdict: contents, digest, exit status, Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import trio

from netem.errors import ConfigError, LedgerError
from node.partial_file import StoreError
from scenarios import runner
from scenarios.catalogue import scenario_named
from scenarios.claims import Claim
from scenarios.options import Options
from scenarios.play import Play
from scenarios.runner import run_scenario
from scenarios.trace_file import read_trace
from tracker.desk import Terms

CLAIM = Claim(name="a", predicted=1, measured=2, tolerance=0, ok=True, source="test")


def as_settings(values):
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def claim_named(result, word):
    (found,) = [claim for claim in result.claims if word in claim.name]
    return found


def test_awkward_files_arrive_identical_over_a_lossy_network(finished, awkward_files):
    assert finished.params.loss > 0
    assert claim_named(finished, "identical").ok
    assert all(finished.invariants.values())
    assert finished.certificate.valid
    names = {
        event[1]: event[2]
        for _, event in read_trace(finished.directory / "events.msgpack")
        if event[0] == "FilePublished"
    }
    fetched = Counter(
        names[event[3]]
        for _, event in read_trace(finished.directory / "events.msgpack")
        if event[0] == "DownloadFinished"
    )
    assert set(fetched) == set(awkward_files)


def test_the_counts_are_those_of_the_trace(finished):
    kinds = Counter(event[0] for _, event in read_trace(finished.directory / "events.msgpack"))
    assert finished.counts["events"] == kinds.total()
    assert finished.counts["downloads_finished"] == kinds["DownloadFinished"] > 0
    assert finished.counts["downloads_stopped"] == kinds["DownloadStopped"]
    assert finished.counts["blocks_delivered"] * 1024 >= finished.counts["bytes_accepted"] > 0


def test_the_stores_are_removed_once_their_files_were_judged(finished):
    assert sorted(path.name for path in finished.directory.iterdir()) == [
        "events.msgpack",
        "fates.msgpack",
        "ledger.sqlite",
        "report.html",
        "result.json",
        "run.json",
        "samples.msgpack",
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
def test_the_exit_status_tells_the_worst_that_happened(finished, *, interrupted, valid, invariant, ok, status):
    result = dataclasses.replace(
        finished,
        interrupted=interrupted,
        certificate=dataclasses.replace(finished.certificate, valid=valid),
        invariants={"I1": True, "I2": invariant},
        claims=[CLAIM, dataclasses.replace(CLAIM, ok=ok)],
    )
    assert result.status == status
    assert result.to_dict()["status"] == status


@pytest.fixture
def run_small(tmp_path, content, small):
    """Return a function that repeats the finished run with another seed."""

    def run(seed):
        options = Options(seed=seed, time="virtual", content=content, out=tmp_path / "out", quiet=True)
        return run_scenario(scenario_named("flash-crowd"), small, options)

    return run


def test_another_seed_gives_another_digest(run_small, finished):
    assert run_small(seed=2).digest != finished.digest


def test_the_same_seed_gives_the_same_digest_in_one_process(run_small, finished):
    assert run_small(seed=1).digest == finished.digest


@pytest.fixture
def digest_elsewhere(tmp_path, start_swarmbed):
    """Return a function that runs flash-crowd in a process with a hash seed of its own and returns the digest."""

    def run(*arguments, hash_seed):
        given = ["--time", "virtual", "--quiet", "--out", tmp_path / hash_seed, "--json", "-", *arguments]
        out, _ = start_swarmbed("run", "flash-crowd", *given, PYTHONHASHSEED=hash_seed).communicate()
        return json.loads(out)["digest"]

    return run


@pytest.mark.parametrize("hash_seed", [pytest.param("0", marks=pytest.mark.slow), "4242"])
def test_the_digest_depends_on_no_hash_seed_process_or_place(digest_elsewhere, content, small, *, finished, hash_seed):
    assert digest_elsewhere("--content", content, *as_settings(small), hash_seed=hash_seed) == finished.digest


@pytest.mark.slow
def test_five_runs_have_one_digest_whatever_the_load(digest_elsewhere):
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            digests = [digest_elsewhere("--nodes", "40", "--duration", "15", hash_seed=str(n)) for n in range(5)]
        finally:
            busy.kill()
    assert len(set(digests)) == 1


def wait_for_a_download(process, out):
    """Wait until some node has begun to store a piece: then the show is on."""
    give_up_s = time.monotonic() + 90
    while not any(path.is_file() for path in (out / "stores").rglob("*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("clock", "signals"),
    [
        ("real", [signal.SIGINT]),
        ("real", [signal.SIGINT, signal.SIGINT]),
        ("virtual", [signal.SIGINT]),
        ("virtual", [signal.SIGTERM]),
    ],
    ids=["real-once", "real-twice", "virtual-once", "virtual-terminated"],
)
def test_an_interrupted_run_keeps_its_results(start_swarmbed, tmp_path, content, *, small, clock, signals):
    endless = as_settings({**small, "load": 0.2, "duration_s": 80_000})
    out = tmp_path / "out"
    with start_swarmbed(
        "run", "flash-crowd", "--time", clock, "--content", content, "--out", out, "--quiet", *endless
    ) as process:
        try:
            wait_for_a_download(process, out)
            for number in signals:
                process.send_signal(number)
                time.sleep(0.2)  # two signals at once would be one
            told, complaints = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 130
    assert complaints == ""
    assert "interrupted: the results cover what was done until then" in told
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["interrupted"]
    assert result["status"] == 130
    assert result["invariants"]
    assert all(result["invariants"].values())
    assert result["counts"]["datagrams_sent"] > 0
    assert "DownloadStarted" in {event[0] for _, event in read_trace(out / "events.msgpack")}


@pytest.fixture
def play(tmp_path, content, small):
    """Return a function that runs a made-up scenario, without claims, in virtual time."""
    flash_crowd = scenario_named("flash-crowd")

    def run(script):
        scenario = dataclasses.replace(flash_crowd, name="made-up", run=script, claims=lambda _: [])
        options = Options(time="virtual", content=content, out=tmp_path / "out", quiet=True)
        return run_scenario(scenario, small, options)

    return run


async def start_and_interrupt(bed):
    await bed.start(terms=Terms(), policy="fixed", beliefs="given", prior=(1.0,))
    os.kill(os.getpid(), signal.SIGINT)
    await trio.sleep(1)
    assert bed.interrupted


def test_an_interrupt_before_the_show_lets_none_of_it_happen(play):
    shown = []

    async def script(bed):
        await start_and_interrupt(bed)
        with bed.lasting(100):
            await trio.sleep(1)
            shown.append(True)

    assert play(script).status == 130
    assert not shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_once_the_show_is_over_loses_nothing(play, monkeypatch, number):
    judge = Play.judge

    def interrupted(run):
        os.kill(os.getpid(), number)
        return judge(run)

    async def script(bed):
        await bed.start()

    before = signal.getsignal(number)
    monkeypatch.setattr(Play, "judge", interrupted)
    result = play(script)
    assert result.status == 0
    assert (result.directory / "result.json").is_file()
    assert signal.getsignal(number) is before


def test_an_interrupt_before_anything_was_run_leaves_nothing_behind(swarmbed, tmp_path, content, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "layout_of", interrupted)
    out = tmp_path / "out"
    outcome = swarmbed("run", "flash-crowd", "--nodes", 3, "--content", content, "--out", out)
    assert outcome.status == 130
    assert outcome.err.split("\n")[-2] == "swarmbed: interrupted"
    assert not out.exists()


def test_a_second_interrupt_ends_even_what_would_never_end(play):
    waited = []

    async def script(bed):
        await start_and_interrupt(bed)
        os.kill(os.getpid(), signal.SIGINT)
        await trio.sleep(1000)
        waited.append(True)

    result = play(script)
    assert result.status == 130
    assert not waited
    assert all(result.invariants.values())


def test_a_failure_of_the_program_is_never_hidden(play):
    async def script(_):
        await trio.sleep(1)
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        play(script)
    assert caught.group_contains(ZeroDivisionError)


OWN = '''"""Does it break?

Source: made up
"""

from scenarios import Bed, Params

async def run(bed):
    await bed.start()
    {act}

def claims(record):
    return {claims}
'''


@pytest.mark.parametrize(
    ("act", "claims", "told"),
    [
        ("1 / 0", "[]", "mine.py:10: ZeroDivisionError"),
        ("await bed.peers[0].fetch(7)", "[]", "mine.py:10: Rejection: unknown-file"),
        ("pass", "record.facts['nothing']", "mine.py:13: KeyError"),
    ],
)
def test_a_mistake_in_a_scenario_of_ones_own_voids_the_run_and_is_told_by_its_line(swarmbed, act, claims, told):
    Path("mine.py").write_text(OWN.format(act=act, claims=claims))
    outcome = swarmbed("run", "mine.py", "--time", "virtual", "--nodes", "3", "--quiet", "--out", "out")
    assert outcome.status == 3
    assert told in outcome.out
    assert "Traceback" not in outcome.err
    result = json.loads(Path("out/result.json").read_text(encoding="utf-8"))
    assert told in result["fidelity"]["reasons"][0]
    assert all(result["invariants"].values())


def test_a_timer_that_finds_a_file_cut_short_leaves_a_void_result(play, content):
    async def script(bed):
        await bed.start(terms=Terms(), policy="fixed", beliefs="given", prior=(1.0,))

        def read_ahead():
            raise StoreError("x is shorter than the 9 bytes it had")

        bed.clock.call_at(bed.clock.now_ns() + 1, read_ahead)
        await trio.sleep(1000)

    result = play(script)
    assert result.status == 3
    assert result.certificate.reasons == ("the run broke off: x is shorter than the 9 bytes it had",)
    assert all(result.invariants.values())
    assert (result.directory / "result.json").is_file()


@pytest.mark.parametrize("error", [StoreError("cannot write x: No space left on device"), LedgerError("torn")])
def test_a_disk_that_fails_leaves_a_void_result(play, error):
    async def script(bed):
        await bed.start()
        raise error

    result = play(script)
    assert result.status == 3
    assert result.certificate.reasons == (f"the run broke off: {error}",)
    assert json.loads((result.directory / "result.json").read_text(encoding="utf-8"))["status"] == 3


def test_more_nodes_than_the_system_allows_sockets_are_refused(tmp_path, content, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 40))
    options = Options(time="real", content=content, out=tmp_path / "out", quiet=True)
    with pytest.raises(ConfigError, match=r"nodes: 8 is not allowed; allowed: at most 5, as the system allows 40"):
        run_scenario(scenario_named("flash-crowd"), {"nodes": 8}, options)
    assert not (tmp_path / "out").exists()
