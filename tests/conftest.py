"""trio: what tests of all packages share: a host that is calibrated, a disk that is really full, and system programs.

The disk is a small file system of its own (for root), or a limit on the size of files.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from scenarios.calibration import save_calibration
from scenarios.capacity import Calibration

# Runs warn about a host that is too slow: what this one happens to be doing must not decide what a test sees on stderr.
ROOMY_HOST = Calibration(
    packet_us=5.0,
    block_us=50.0,
    node_us_per_s=500.0,
    share=0.9,
    lag_p99_ms=1.0,
    lateness_p99_ms=1.0,
    open_files=100_000,
    cores=2,
)
FIELDS = (
    "frame.time_epoch",
    "ip.src",
    "ip.src_host",
    "ip.dst",
    "udp.payload",
    "tcp.payload",
    "tcp.flags",
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "frame.comment",
    "_ws.expert.message",
)
Disk = Callable[[int], contextlib.AbstractContextManager[Path]]

# Helpers beside the tests assert, too, and should say as much when they fail.
pytest.register_assert_rewrite(
    "tests.node.simulated_swarm", "tests.scenarios.whole_runs", "tests.tracker.clients", "tests.tracker.transactions"
)

# How long an example takes, or to make one, says how busy the host is. The same examples every time: a commit is not to fail
# for what another did. `pytest --hypothesis-profile=explore` looks for new ones.
hypothesis.settings.register_profile(
    "same everywhere", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("same everywhere")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage while thousands of tests are collected, nor ever among them: that costs a run a third of a second."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def calibrated_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let runs in this process and those it starts find the figures of a host that is fast enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        save_calibration(ROOMY_HOST)
        yield


@pytest.fixture(params=["own file system", "file size limit"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Return `small_disk(kib)`, a context whose directory takes no more than `kib` KiB; after it there is room again."""
    place = tmp_path / "small disk"
    place.mkdir()
    if request.param == "file size limit":
        yield lambda kib: _file_size_limit(place, kib)
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"only root may mount a small file system ({mounted.stderr.decode().strip()})")
    try:
        yield lambda kib: _small_file_system(place, kib)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextlib.contextmanager
def _file_size_limit(place: Path, kib: int) -> Iterator[Path]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, before[1]))
    try:
        yield place
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def _small_file_system(place: Path, kib: int) -> Iterator[Path]:
    _resize(place, f"{kib}k")
    try:
        yield place
    finally:
        _resize(place, "64m")


def _resize(place: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


def _system_program(name: str, package: str) -> str:
    """Return the path of a program of a Debian package; without it skip, or fail where everything must be tested."""
    path = shutil.which(name)
    if path is None:
        absent = f"{name} is not installed (Debian package {package})"
        if os.environ.get("SWARMBED_REQUIRE_ORACLES"):
            pytest.fail(absent)
        pytest.skip(absent)
    return path


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return the path of promtool."""
    return _system_program("promtool", "prometheus")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Return the path of the Prometheus server."""
    return _system_program("prometheus", "prometheus")


@dataclass(frozen=True)
class Seen:
    """A packet as Wireshark sees it; `fields` are texts by the names in `FIELDS`, those it has."""

    time_ns: int
    fields: dict[str, str]

    @property
    def comment(self) -> str:
        """Return its comment."""
        return self.fields["frame.comment"]

    @property
    def data(self) -> bytes:
        """Return what the datagram or segment carries."""
        return bytes.fromhex(self.fields.get("udp.payload", self.fields.get("tcp.payload", "")))


@pytest.fixture(scope="session")
def read_capture() -> Callable[[Path], list[Seen]]:
    """Read a capture with Wireshark's own reader, which checks all checksums."""
    tshark = _system_program("tshark", "tshark")
    checks = [word for name in ("ip", "udp", "tcp") for word in ("-o", f"{name}.check_checksum:TRUE")]
    wanted = [word for field in FIELDS for word in ("-e", field)]

    def read(path: Path) -> list[Seen]:
        command = [tshark, "-r", str(path), "-N", "n", "-T", "json", *checks, *wanted]
        packets = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        layers = [packet["_source"]["layers"] for packet in packets]
        seen = [{field: str(values[0]) for field, values in layer.items()} for layer in layers]
        return [Seen(_nanoseconds(fields["frame.time_epoch"]), fields) for fields in seen]

    return read


def _nanoseconds(seconds: str) -> int:
    whole, _, part = seconds.partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a browser."""
    return _system_program("chromium", "chromium")
