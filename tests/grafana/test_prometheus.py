"""A real Prometheus scrapes a live run with faults, and answers every query of every dashboard."""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

from netem.metric import DASHBOARDS

FOLDER = Path(__file__).resolve().parents[2] / "grafana"
BOARDS = {name: json.loads((FOLDER / "dashboards" / f"{name}.json").read_text(encoding="utf-8")) for name in DASHBOARDS}
MACROS = {"$__rate_interval": "4s", "$__range": "60s", "$__interval": "1s"}
SCENARIO = '''"""Does what is done to a network show on the dashboards?

Source: this test.
"""

import trio

from netem.tc import parse_tc
from scenarios.scripts import flash_crowd

Params = flash_crowd.Params
claims = flash_crowd.claims


async def run(bed):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(disturb, bed)
        await flash_crowd.run(bed)
        nursery.cancel_scope.cancel()


async def disturb(bed):
    await trio.sleep(5)
    bed.network.impair_all(parse_tc("loss 8% delay 20ms"))
    with bed.network.partition(["node-0"], ["node-1"]):
        await trio.sleep(1)
'''
SPAN_S = 60  # longer than the run, also where the host is slow
RUN = ["--nodes=6", "--duration=14", "--set=load=0.9", "--set=upload_bytes_per_s=200000", "--set=appear_s=1", "--quiet"]


class Prometheus:
    """A Prometheus server and what it knows of one run.

    Attributes:
        end_s: when the run's last scrape was.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.end_s = 0.0

    def get(self, path: str, **query: object):
        with urllib.request.urlopen(
            f"{self.url}{path}?{urllib.parse.urlencode(query, doseq=True)}", timeout=60
        ) as answer:
            return json.load(answer)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def values(self, expr: str) -> list[float]:
        """Return the numbers of all series over the run, second by second; raise for a query that is invalid."""
        answer = self.get("/api/v1/query_range", query=expr, start=self.end_s - SPAN_S, end=self.end_s, step=1)
        assert answer["status"] == "success"
        numbers = [float(text) for series in answer["data"]["result"] for _, text in series["values"]]
        return [number for number in numbers if not math.isnan(number)]

    def labels(self, name: str, match: str) -> list[str]:
        """Return the values of a label."""
        found = self.get(
            f"/api/v1/label/{name}/values", **{"match[]": match}, start=self.end_s - SPAN_S, end=self.end_s + 1
        )
        return found["data"]


def wait_for(condition, seconds):
    give_up_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.1)


@pytest.fixture(scope="module")
def watched(prometheus, tmp_path_factory):
    """Run the scenario, let Prometheus scrape it with the committed configuration, and ask when the run is over."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "disturbed.py").write_text(SCENARIO, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from scenarios.cli import main; main()", "run", str(folder / "disturbed.py")]
    with subprocess.Popen(
        [*command, "--serve=0", f"--out={folder / 'out'}", *RUN], stdout=subprocess.PIPE, text=True
    ) as run:
        address = re.search(r"http://([\d.:]+)", run.stdout.readline() + run.stdout.readline())[1]
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [address]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        flags = [
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (folder / "log").open("w") as log, subprocess.Popen([prometheus, *flags], stderr=log) as server:
            try:
                knows = Prometheus(port)
                wait_for(knows.ready, 90)
                said, _ = run.communicate(timeout=180)
                assert run.returncode in {0, 1, 3}, said  # a claim may lack data, and the machine may be busy
                ups = knows.get("/api/v1/query", query='max_over_time(timestamp(up{job="swarmbed"} == 1)[5m:1s])')
                knows.end_s = float(ups["data"]["result"][0]["value"][1])
                yield knows
            finally:
                server.terminate()
                run.kill()


def concrete(prometheus, board):
    """Return each variable's values, in order; of those that depend on others with all of these."""
    chosen = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            match, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            found = prometheus.labels(label, substituted(match, dict.fromkeys(chosen, ".*")))
            assert found, f"{variable['name']} has nothing to choose"
            chosen[variable["name"]] = found
    return chosen


def substituted(expr, chosen):
    """Put values in, as Grafana does for variables of which several may be chosen."""
    for macro, value in MACROS.items():
        expr = expr.replace(macro, value)
    return re.sub(r"\$(\w+)", lambda found: chosen[found[1]], expr)


def escaped(text):
    return re.sub(r"([\\^$.*+?()\[\]{}|])", r"\\\\\1", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_query_is_invalid_and_none_is_empty(watched, name):
    board = BOARDS[name]
    values = concrete(watched, board)
    anything = dict.fromkeys(values, ".*")
    first = {
        name: escaped(
            next((value for value in found if value in {"market", "peer", "datagram loss, realised"}), found[0])
        )
        for name, found in values.items()
    }
    for panel in board["panels"]:
        for target in panel["targets"]:
            for chosen in (anything, first):
                asked = substituted(target["expr"], chosen)
                assert watched.values(asked), f"{panel['title']}: {asked}"


@pytest.mark.slow
def test_faults_are_marked_when_they_were_made(watched):
    mark = BOARDS["market"]["annotations"]["list"][0]
    times_s = {number / 1000 for number in watched.values(substituted(mark["expr"], {"instance": ".*"}))}
    assert len(times_s) == 3  # impair, partition, heal
    assert all(watched.end_s - SPAN_S < time_s <= watched.end_s for time_s in times_s)


@pytest.mark.slow
def test_theory_and_measurement_of_the_loss_agree_on_the_dashboard(watched):
    panel = next(panel for panel in BOARDS["network"]["panels"] if panel["title"].startswith("Datagram loss"))
    whole = [
        watched.values(substituted(target["expr"], {"instance": ".*"}).replace("[4s]", f"[{SPAN_S}s]"))[-1]
        for target in panel["targets"]
    ]
    exposed = watched.values("swarmbed_netem_exposed_datagrams_total")[-1]
    realised, configured = whole
    assert 0.05 <= configured <= 0.08
    assert abs(realised - configured) <= 4 * math.sqrt(0.08 * 0.92 / exposed) + 40 / exposed  # 40 under way


@pytest.mark.slow
def test_a_slip_in_a_query_would_be_empty(watched):
    assert watched.values("rate(swarmbed_netem_packet_total[4s])") == []
