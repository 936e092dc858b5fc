"""trio: a tracker and nodes in processes of their own, found by address, on one host and on two."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenarios.tracker_address import TrackerAddress
from tracker.bank.audit import audit

ROOT = Path(__file__).parents[2]
KEY = "ab" * 32


class Role:
    """A role's process, whose lines are read from a file while it runs."""

    def __init__(self, directory, *arguments, inside=()):
        directory.mkdir(exist_ok=True)
        self.lines = directory / "said"
        self.boots = self.lines.read_text().count("\n") if self.lines.exists() else 0
        with self.lines.open("a") as file:
            command = [*inside, sys.executable, "-u", "-m", "scenarios", *map(str, arguments), "--dir", str(directory)]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)

    def wait_for(self, words, timeout_s=90):
        """Return the line of this boot that has the words."""
        give_up_s = time.monotonic() + timeout_s
        while time.monotonic() < give_up_s:
            for line in self.lines.read_text().splitlines()[self.boots :]:
                if words in line:
                    return line
            assert self.process.poll() is None, self.lines.read_text()
            time.sleep(0.05)
        raise AssertionError(f"no {words!r} in {self.lines.read_text()!r}")


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a role in a directory of that name; all are killed at the end."""
    roles = []

    def run(name, *arguments, inside=()):
        roles.append(Role(tmp_path / name, *arguments, inside=inside))
        return roles[-1]

    yield run
    for role in roles:
        role.process.kill()
        role.process.wait()


def start_tracker(start, *arguments, inside=()):
    tracker = start("tracker", "tracker", *arguments, inside=inside)
    return tracker, tracker.wait_for("/").strip()


@pytest.fixture
def big_file(tmp_path):
    path = tmp_path / "big file.bin"
    path.write_bytes(os.urandom(1024) * 600)
    return path


def test_a_node_finds_tracker_and_files_by_address(start, tmp_path, big_file):
    tracker, address = start_tracker(start)
    seller = start("seller", "node", "--tracker", address, "--publish", big_file, "--set", "loss=0.1")
    seller.wait_for("published 'big file.bin' as file 0")
    buyer = start("buyer", "node", "--tracker", address, "--fetch", "big file.bin", "--once")
    assert buyer.process.wait(120) == 0
    assert (tmp_path / "buyer" / "files" / "big file.bin").read_bytes() == big_file.read_bytes()
    for role in (seller, tracker):
        role.process.send_signal(signal.SIGINT)
        assert role.process.wait(60) == 130
    report = audit(tmp_path / "tracker" / "ledger.sqlite")
    assert report.ok


@pytest.mark.slow
def test_a_node_waits_for_a_tracker_and_says_so(start):
    buyer = start("buyer", "node", "--tracker", f"127.0.0.1:9/{KEY}", "--fetch", "x", "--once")
    buyer.wait_for("no answer from the tracker at 127.0.0.1:9 yet; still trying")
    buyer.process.send_signal(signal.SIGTERM)
    assert buyer.process.wait(60) in {0, 130}
    assert "Traceback" not in buyer.lines.read_text()


@pytest.mark.parametrize(
    "text", ["", "x", "127.0.0.1:9", f"127.0.0.1:x/{KEY}", f"127.0.0.1:0/{KEY}", "127.0.0.1:9/abc", f":9/{KEY}x"]
)
def test_an_address_that_is_none_is_refused(swarmbed, text):
    outcome = swarmbed("node", "--tracker", text)
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: --tracker: ")


def test_an_address_is_printed_as_it_is_read():
    text = f"127.0.0.1:4000/{KEY}"
    assert str(TrackerAddress.parse(text)) == text


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["tracker", "--listen", "nowhere"], "--listen"),
        (["tracker", "--listen", "127.0.0.1:70000"], "--listen"),
        (["tracker", "--listen", "192.0.2.1:0"], "port"),
        (["tracker", "--set", "policy=fixed"], "policy"),
        (["tracker", "--set", "loss=2"], "loss"),
        (["tracker", "--dir", "a-file"], "--dir"),
        (["node", "--tracker", f"127.0.0.1:9/{KEY}", "--publish", "missing"], "--publish"),
        (["node", "--tracker", f"127.0.0.1:9/{KEY}", "--set", "policy=generous"], "policy"),
        (["node", "--tracker", f"127.0.0.1:9/{KEY}", "--set", "nodes=3"], "nodes"),
        (["node", "--tracker", f"127.0.0.1:9/{KEY}", "--listen", "192.0.2.1"], "port"),
    ],
)
def test_a_role_that_cannot_start_says_why_in_one_line(swarmbed, arguments, field):
    Path("a-file").write_text("no directory")
    outcome = swarmbed(*arguments)
    assert outcome.status == 2
    assert [line.split(": ")[1] for line in outcome.err.splitlines()] == [field]


def test_an_address_of_another_machine_is_told_from_a_port_in_use(swarmbed):
    outcome = swarmbed("tracker", "--listen", "192.0.2.1:99")
    assert "(Cannot assign requested address)" in outcome.err


@pytest.fixture
def two_hosts():
    """Return the command prefixes of two network namespaces that a cable joins, with the address of each."""
    if shutil.which("ip") is None:
        pytest.skip("two hosts are tried as network namespaces: needs the program `ip` (iproute2)")
    names = [f"swarmbed-{os.getpid()}-{side}" for side in "ab"]
    cables = [f"sb{os.getpid() % 10**6}{side}" for side in "ab"]

    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for number, (name, cable) in enumerate(zip(names, cables, strict=True), start=1):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as fault:
        for name in names:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)
        pytest.skip(f"two hosts are tried as network namespaces: {fault.stderr.decode().strip()} (needs root)")
    yield [(("ip", "netns", "exec", name), f"10.77.0.{number}") for number, name in enumerate(names, start=1)]
    for name in names:
        ip("netns", "del", name)


@pytest.mark.slow
def test_tracker_and_node_work_on_two_hosts(start, tmp_path, big_file, two_hosts):
    (here, here_ip), (there, there_ip) = two_hosts
    _, address = start_tracker(start, "--listen", f"{here_ip}:0", inside=here)
    seller = start("seller", "node", "--tracker", address, "--publish", big_file, inside=there)
    seller.wait_for("published")
    assert f"at {there_ip} has joined {here_ip}:" in seller.lines.read_text()
    buyer = start(
        "buyer", "node", "--tracker", address, "--fetch", "big file.bin", "--once", "--listen", here_ip, inside=here
    )
    assert buyer.process.wait(120) == 0
    assert (tmp_path / "buyer" / "files" / "big file.bin").read_bytes() == big_file.read_bytes()
