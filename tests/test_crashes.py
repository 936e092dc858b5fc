"""Whole runs, each in a process of its own, to which something terrible happens."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from netem.randomness import keyed_generator
from node.content import make_manifest
from node.store import Store
from scenarios.trace_file import read_trace
from tracker.bank.audit import audit
from tracker.bank.journal import read_journal
from tracker.messages import BLOCK_BYTES, PIECE_BYTES

ROOT = Path(__file__).parents[1]
STOPPED_S = 5.0


def events(directory, kind):
    """Return the times of a kind of event, in seconds, oldest first; a trace being written may end in mid-event."""
    return [time_ns / 1e9 for time_ns, (name, *_) in read_trace(directory / "events.msgpack") if name == kind]


def worker_of(pid):
    """Return a child process of a process, whichever of its threads started it."""
    children = [path.read_text().split() for path in sorted(Path(f"/proc/{pid}/task").glob("*/children"))]
    return int(next(child for found in children for child in found))


@pytest.mark.slow
@pytest.mark.parametrize("procs", [1, 2])
def test_a_run_whose_process_or_worker_is_stopped_for_five_seconds_goes_on_and_is_void_and_says_how_long(
    tmp_path, procs
):
    content, out = tmp_path / "content", tmp_path / "out"
    content.mkdir()
    for name in "abc":
        (content / name).write_bytes(name.encode() * 100_000)
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "scenarios", "run", "flash-crowd", "--nodes", "6", "--duration", "24", "--quiet"),
            *("--content", str(content), "--out", str(out), "--procs", str(procs)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        wait_for(lambda: any(path.is_file() for path in out.glob("stores/*/*")))  # somebody has begun to fetch
        time.sleep(2)
        assert run.poll() is None
        victim = run.pid if procs == 1 else worker_of(run.pid)
        os.kill(victim, signal.SIGSTOP)
        began_s, stopped = time.monotonic(), time.time()
        time.sleep(STOPPED_S)
        os.kill(victim, signal.SIGCONT)
        stood_s = time.monotonic() - began_s
        printed = run.stdout.read()
    assert run.returncode == 3
    result = json.loads((out / "result.json").read_text())
    fidelity = result["fidelity"]
    assert 0.95 * STOPPED_S < fidelity["lag_max_s"] < 1.2 * stood_s
    assert any("stood still for" in reason for reason in fidelity["reasons"])
    assert "VOID: the event loop" in printed
    # The peers coped: downloads went on to their end, nothing was lost for good and every fee was settled.
    assert all(result["invariants"].values())
    assert fidelity["missing"] == 0
    finished = events(out, "DownloadFinished")
    assert len([at for at in finished if at > stopped + STOPPED_S]) >= 2
    assert len(events(out, "DownloadSettled")) == len(events(out, "FeeHeld"))


@pytest.mark.slow
@pytest.mark.parametrize("kib", [250, 1_500])
def test_a_run_on_a_disk_that_fills_up_stops_with_one_line_and_takes_nothing_half_written_for_whole(
    small_disk, tmp_path, kib
):
    content = tmp_path / "content"
    content.mkdir()
    for name in "abc":
        (content / name).write_bytes(name.encode() * kib * 1_200)  # one is larger than the disk lets a file be
    with small_disk(kib) as disk:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "scenarios", "run", "flash-crowd", "--nodes", "6", "--time", "virtual"),
                *("--quiet", "--content", str(content), "--out", str(disk / "out")),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 3, run.stderr
    cause, *more = run.stderr.splitlines()
    assert "No space" in cause or "too large" in cause or "disk" in cause
    if run.stdout.count("\n") > 1:  # the result could still be written
        assert not more
        assert json.loads((disk / "out" / "result.json").read_text())["fidelity"]["reasons"][0] in cause
    else:
        assert more[-1].startswith("swarmbed: to run it again: ")
    assert audit(disk / "out" / "ledger.sqlite").ok
    whole = [path for path in disk.glob("out/stores/*/*") if not path.suffix]
    assert {path.read_bytes() for path in whole} <= {path.read_bytes() for path in content.iterdir()}


KILLER = ROOT / "tests" / "tracker" / "kill_tracker.py"
POINTS = (57, 11, 42, 50, 59, 68, -1)  # by boot: opening a ledger and its tariff have about thirty, others eight each
FEE = 1_000


class TrackerProcess:
    """A tracker in a process of its own; its boots share a directory and an address, and die at points of their bank's work.

    The process of the next boot waits: how long a slow host takes to start one is nothing that nodes have to bear.
    """

    def __init__(self, directory, points=(-1,)):
        self.directory, self.address, self.line = directory, "127.0.0.1:0", ""
        self.acknowledged = directory.with_suffix(".acknowledged")
        self._points = iter(points)
        self._next = self._start()

    def _start(self):
        """Start a process that dies at the next point (-1: never) once it is told to boot; None if there is none."""
        if (point := next(self._points, None)) is None:
            return None
        return subprocess.Popen(
            [sys.executable, str(KILLER), str(point), str(self.acknowledged)],
            env={"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def boot(self):
        """Start the next boot, and wait until it says its address."""
        self.process, self._next = self._next, self._start()
        options = ["--listen", self.address, "--dir", str(self.directory), "--set", f"fee_credits={FEE}"]
        self.process.stdin.write(json.dumps(options) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().strip()
        if line:
            self.line, self.address = line, line.partition("/")[0]

    @property
    def ledger(self):
        return self.directory / "ledger.sqlite"


def node(tracker, directory, *arguments):
    command = [
        sys.executable,
        "-m",
        "scenarios",
        "node",
        "--tracker",
        tracker.line,
        "--dir",
        str(directory),
        *arguments,
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_clients_of_a_tracker_that_is_killed_again_and_again_reconnect_and_finish_and_every_fee_is_settled_once(
    tmp_path,
):
    content = tmp_path / "content"
    content.mkdir()
    names = [f"f{number}" for number in range(4)]
    for name in names:
        (content / name).write_bytes(name.encode() * 30_000)
    tracker = TrackerProcess(tmp_path / "tracker", POINTS)
    tracker.boot()
    seller = node(tracker, tmp_path / "seller", "--publish", str(content))
    wanted = [argument for name in names for argument in ("--fetch", name)]
    folders = [tmp_path / f"buyer-{number}" for number in range(2)]
    buyers = [node(tracker, folder, *wanted, "--once") for folder in folders]
    try:
        for _ in POINTS[1:]:
            tracker.process.communicate(timeout=300)
            assert tracker.process.returncode == -signal.SIGKILL
            tracker.boot()
        for buyer in buyers:
            told, _ = buyer.communicate(timeout=300)
            assert buyer.returncode == 0, told
        deadline = time.monotonic() + 60
        while audit(tracker.ledger).held_credits and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        for process in (*buyers, seller, tracker.process):
            process.terminate()
            process.communicate(timeout=60)
    for folder, name in itertools.product(folders, names):
        assert (folder / "files" / name).read_bytes() == (content / name).read_bytes()
    report = audit(tracker.ledger)
    assert report.ok
    assert report.held_credits == 0
    journal = [entry.transaction for entry in read_journal(tracker.ledger)]
    told = tracker.acknowledged.read_bytes()
    assert {told[i : i + 16] for i in range(0, len(told), 16)} <= {transaction.id for transaction in journal}
    # Each download was paid for once and whole: nobody was made to pay twice, and no server went away empty.
    counts = Counter(transaction.kind for transaction in journal)
    downloads = len(folders) * len(names)
    each = dict.fromkeys(("hold", "close", "settle"), downloads)
    assert counts == {"tariff": counts["tariff"], "mint": 3, "file": len(names), **each}
    assert len(POINTS) - 1 <= counts["tariff"] <= len(POINTS)  # one boot dies while it opens the ledger
    settled = [transaction.memo for transaction in journal if transaction.kind == "settle"]
    assert {sum(nbytes for _, nbytes in memo.totals) for memo in settled} == {60_000}


@pytest.mark.slow
def test_a_node_killed_in_mid_download_resumes_without_fetching_more_than_a_hundredth_of_what_it_had_again(tmp_path):
    (tmp_path / "f").write_bytes(keyed_generator(1, "content").bytes(3 * 2**20))
    tracker = TrackerProcess(tmp_path / "tracker")
    tracker.boot()
    folder = tmp_path / "buyer"
    upload = ("--set", "upload_bytes_per_s=150000")
    sellers = [node(tracker, tmp_path / f"seller-{n}", "--publish", str(tmp_path / "f"), *upload) for n in range(2)]
    boots = [node(tracker, folder, "--fetch", "f", "--once")]
    try:
        part = wait_for(lambda: next(folder.glob("store/*.part"), None))
        wait_for(lambda: part.with_suffix(".blocks").exists())
        time.sleep(4)
        boots[0].kill()
        boots[0].communicate(timeout=30)
        kept = Store(folder / "store").begin(make_manifest("f", tmp_path / "f"))
        boots.append(node(tracker, folder, "--fetch", "f", "--once"))
        told, _ = boots[1].communicate(timeout=300)
        assert boots[1].returncode == 0, told
    finally:
        for process in (*boots, *sellers, tracker.process):
            process.terminate()
            process.communicate(timeout=60)
    assert (folder / "files" / "f").read_bytes() == (tmp_path / "f").read_bytes()
    whole = 3 * 2**20 // BLOCK_BYTES
    unfinished = sum(len(blocks) for blocks in kept.blocks.values())
    before = len(kept.have) * PIECE_BYTES // BLOCK_BYTES + unfinished
    assert 0.05 * whole < before < 0.95 * whole
    assert unfinished
    (blocks,) = [event[5] for _, event in read_trace(folder / "events.msgpack") if event[0] == "DownloadFinished"]
    assert whole - before <= blocks <= whole - before + 0.01 * whole


@pytest.mark.slow
def test_nodes_cope_with_a_tracker_that_is_stopped_for_five_seconds(tmp_path):
    (tmp_path / "f").write_bytes(keyed_generator(1, "content").bytes(2**20))
    tracker = TrackerProcess(tmp_path / "tracker")
    tracker.boot()
    seller = node(tracker, tmp_path / "seller", "--publish", str(tmp_path / "f"), "--set", "upload_bytes_per_s=150000")
    buyer = node(tracker, tmp_path / "buyer", "--fetch", "f", "--once")
    try:
        wait_for(lambda: next(tmp_path.glob("buyer/store/*.blocks"), None))
        tracker.process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        assert buyer.poll() is None
        tracker.process.send_signal(signal.SIGCONT)
        told, _ = buyer.communicate(timeout=180)
        assert buyer.returncode == 0, told
        wait_for(lambda: not audit(tracker.ledger).held_credits)
    finally:
        for process in (buyer, seller, tracker.process):
            process.terminate()
            process.communicate(timeout=60)
    assert (tmp_path / "buyer" / "files" / "f").read_bytes() == (tmp_path / "f").read_bytes()
    settled = [e.transaction.memo.totals for e in read_journal(tracker.ledger) if e.transaction.kind == "settle"]
    assert [sum(nbytes for _, nbytes in totals) for totals in settled] == [2**20]


def wait_for(condition, timeout_s=120.0):
    """Return what a condition gives once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
