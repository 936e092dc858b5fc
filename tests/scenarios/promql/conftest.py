"""trio: the same samples in our store and in a real Prometheus, and a way to ask the latter."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from scenarios.promql.store import STALE, SampleStore

BASE_MS = 1_700_000_000_000
SCRAPES = 120
BOUNDS = ("0.1", "0.5", "1", "2.5", "+Inf")


class Data:
    """Samples as scrapes, for our store, and as series with stale markers, for Prometheus."""

    def __init__(self) -> None:
        self.store = SampleStore()
        self.series: dict[int, list[tuple[int, float]]] = {}

    def scrape(self, time_ms: int, values: dict[int, float]) -> None:
        self.store.append(time_ms, list(values), list(values.values()))
        for number, samples in self.series.items():
            ended = samples and number not in values and not _is_stale(samples[-1][1])
            if ended:
                samples.append((time_ms, STALE))
        for number, value in values.items():
            self.series.setdefault(number, []).append((time_ms, value))


def _is_stale(value: float) -> bool:
    return struct.pack("<d", value) == struct.pack("<d", STALE)


@pytest.fixture(scope="session")
def data() -> Data:
    """Return two minutes of scrapes about a second apart, with resets, gaps, an end, NaN, infinities and histograms."""
    made, rng = Data(), np.random.default_rng(5)
    nodes = [(f"n{i}", "a" if i % 3 else "b", str(i % 2)) for i in range(7)]
    counters = {
        made.store.series("sent_total", dict(zip(("node", "role", "half"), node, strict=True))): i
        for i, node in enumerate(nodes)
    }
    gauges = {made.store.series("depth", {"node": node, "role": role}): i for i, (node, role, _) in enumerate(nodes)}
    info = {
        made.store.series("node_info", {"node": node, "zone": f"z{i % 2}"}): i for i, (node, _, _) in enumerate(nodes)
    }
    odd = {made.store.series("odd", {"node": f"n{i}"}): i for i in range(4)}
    buckets = {
        made.store.series("wait_seconds_bucket", {"le": bound, "kind": kind}): (kind, place)
        for kind in ("fast", "slow", "rare")
        for place, bound in enumerate(BOUNDS)
    }
    count, observed = dict.fromkeys(counters, 0.0), dict.fromkeys(buckets, 0.0)
    for scrape in range(SCRAPES):
        time_ms = BASE_MS + 1000 * scrape + int(rng.integers(0, 40))
        values: dict[int, float] = {}
        for number, i in counters.items():
            count[number] = rng.random() + (
                0.0 if rng.random() < 0.03 else count[number] + float(rng.integers(0, 50 * (i + 1)))
            )
            if not (i == 2 and 30 <= scrape < 50) and not (i == 3 and scrape < 40) and not (i == 4 and scrape > 90):
                values[number] = count[number]
        values |= {number: float(rng.normal(i, 3)) for number, i in gauges.items() if i != 5 or scrape % 9 < 6}
        values |= {number: 1.0 for number, i in info.items() if i != 6}
        strange = (np.nan, np.inf, -np.inf, float(scrape % 5) - 2)
        values |= {number: float(strange[(scrape // 4 + i) % 4]) for number, i in odd.items()}
        for number, (kind, place) in buckets.items():
            observed[number] += float(rng.integers(0, 4)) if kind != "rare" else 0.0
            whole = sum(observed[n] for n, (k, p) in buckets.items() if k == kind and p <= place)
            if kind != "slow" or place != 1 or scrape > 60:
                values[number] = whole
        made.scrape(time_ms, values)
    return made


class Prometheus:
    """A running Prometheus server."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: Any) -> tuple[int, Any]:
        """Return status and JSON of an API request; a list is a repeated parameter."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{query}", timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def write(self, data: Data) -> None:
        """Load samples as they are, stale markers too, by the remote write protocol."""
        body = b"".join(_part(1, _series(data, number)) for number in sorted(data.series))
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        request = urllib.request.Request(f"{self._url}/api/v1/write", _literal_snappy(body), headers)
        urllib.request.urlopen(request, timeout=60).close()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _part(tag: int, body: bytes) -> bytes:
    return _varint(tag << 3 | 2) + _varint(len(body)) + body


def _series(data: Data, number: int) -> bytes:
    labels = b"".join(
        _part(1, _part(1, name.encode()) + _part(2, value.encode())) for name, value in data.store.labels(number)
    )
    samples = (
        b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(time_ms) for time_ms, value in data.series[number]
    )
    return labels + b"".join(_part(2, sample) for sample in samples)


def _literal_snappy(body: bytes) -> bytes:
    """Return a snappy block that compresses nothing."""
    chunks = (body[at : at + 65536] for at in range(0, len(body), 65536))
    return _varint(len(body)) + b"".join(b"\xf4" + struct.pack("<H", len(chunk) - 1) + chunk for chunk in chunks)


@pytest.fixture(scope="session")
def prometheus(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Start a Prometheus with the data in it."""
    program = shutil.which("prometheus")
    if program is None:
        reason = "no `prometheus` program: `apt-get install prometheus` brings the oracle of the PromQL evaluator"
        if os.environ.get("SWARMBED_REQUIRE_ORACLES"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1m}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--web.listen-address=127.0.0.1:{port}", f"--config.file={folder}/prometheus.yml"]
    options += [f"--storage.tsdb.path={folder}/data", "--web.enable-remote-write-receiver", "--log.level=error"]
    with (folder / "log").open("wb") as log, subprocess.Popen([program, *options], stdout=log, stderr=log) as process:
        try:
            server = Prometheus(port)
            wait_until(server.ready)
            server.write(data)
            yield server
        finally:
            process.terminate()


def wait_until(holds: Callable[[], bool], *, within_s: float = 90) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "Prometheus does not get ready"
        time.sleep(0.05)
