"""A finished run, a simulated one too, is served as a page without controls, and its samples to who asks."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from netem.run_fates import LinkFate, RunFates
from scenarios.page.node_map import MOST_DRAWN_NODES
from scenarios.report.finished_view import drawn_of

GIVE_UP_S = 60


@pytest.fixture
def served(start_swarmbed, finished):
    process = start_swarmbed("report", finished.directory, "--serve", "0")
    give_up = threading.Timer(GIVE_UP_S, process.kill)
    give_up.start()
    told = process.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+", told)
    assert address, told + process.stderr.read()
    yield address[0], process
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=GIVE_UP_S)
    give_up.cancel()
    assert process.returncode == 130


def asked(address, path, *, data=None, headers=None):
    with urllib.request.urlopen(urllib.request.Request(address + path, data, headers or {}), timeout=30) as answer:
        return json.loads(answer.read())


def test_the_page_has_the_run_its_verdict_its_nodes_and_no_controls(served, finished):
    address, _ = served
    facts, state = asked(address, "/page/facts"), asked(address, "/page/state?after=0")
    assert (facts["scenario"], facts["time"], facts["token"]) == ("flash-crowd", "virtual", "")
    assert facts["question"].startswith("A new file appears")
    assert (state["phase"], state["ended"], state["light"]) == ("ended", True, "green")
    assert state["digest"] == finished.digest
    assert [claim["name"] for claim in state["claims"]] == [claim.name for claim in finished.claims]
    assert state["nodes"]["names"] == ["tracker", "node-0", "node-1", "node-2", "node-3"]
    assert sum(state["nodes"]["busy"]) == finished.counts["datagrams_delivered"]
    assert state["events"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        asked(address, "/page/control", data=b"{}", headers={"content-type": "application/json"})
    assert refused.value.code in {403, 409}
    refused.value.close()


def test_the_query_api_answers_from_the_rebuilt_samples(served, finished):
    address, _ = served
    query = urllib.parse.urlencode({"query": "sum(swarmbed_delivered_bytes_total)"})
    (found,) = asked(address, f"/api/v1/query?{query}")["data"]["result"]
    assert float(found["value"][1]) == finished.counts["bytes_accepted"]


def test_a_port_that_is_taken_is_one_line_and_status_2(swarmbed, finished):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        outcome = swarmbed("report", finished.directory, "--serve", taken.getsockname()[1])
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: --serve: ")
    assert len(outcome.err.splitlines()) == 1


def test_without_fates_there_is_no_map_and_with_many_nodes_no_pairs():
    assert drawn_of(None, ["node-0"]) == {}
    names = [f"node-{number}" for number in range(MOST_DRAWN_NODES + 5)]
    told = drawn_of(RunFates(1, {("node-1", "node-0"): LinkFate(offered=10, dropped={"loss": 4})}), names)
    assert told["pairs"] is None
    assert told["names"][:3] == ["tracker", "node-0", "node-1"]
    assert told["loss"][2] == pytest.approx(0.4)
