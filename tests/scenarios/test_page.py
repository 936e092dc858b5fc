"""What the live page is told, and by whom it lets itself be asked."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette

from netem.clock import S
from netem.errors import ConfigError
from netem.faults import FaultMade
from netem.network import Network
from netem.tc import describe, parse_tc
from netem.virtual_time import VirtualTime
from node.events import DownloadFinished, PieceAccepted
from scenarios.page import node_map
from scenarios.page.controls import Controls
from scenarios.page.guard import TOKEN_HEADER, Guard
from scenarios.page.node_map import NodeMap
from scenarios.page.routes import Shown, page_routes
from scenarios.page.ticker import KEPT_LINES, MOST_OF_A_KIND, Ticker
from scenarios.promql.store import SampleStore
from tracker.events import FilePublished, NodeJoined

ASSETS = Path(__file__).resolve().parents[2] / "scenarios" / "page" / "assets"
BOARDS = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"
PORT = 9200
HERE = f"127.0.0.1:{PORT}"
TOKEN = "the token"
A, B = b"a" * 8, b"b" * 8


# -- who may ask ------------------------------------------------------------------------------------------------------


def allowed(**other):
    headers = {
        "host": HERE,
        "origin": f"http://{HERE}",
        "content-type": "application/json",
        TOKEN_HEADER: TOKEN,
    }
    return {name: value for name, value in (headers | other).items() if value is not None}


@pytest.mark.parametrize("host", [HERE, f"localhost:{PORT}"])
def test_a_page_of_this_run_may_read_and_change(host):
    guard = Guard(port=PORT, token=TOKEN)
    assert guard.refusal({"host": host}) == ""
    assert guard.refusal_to_change(allowed(host=host, origin=f"http://{host}")) == ""
    assert guard.refusal_to_change(allowed(origin=None)) == ""  # a program, which knows the token
    assert guard.refusal_to_change(allowed(**{"content-type": "application/json; charset=utf-8"})) == ""


REFUSED = {
    "a name that somebody made point here": {"host": f"evil.example:{PORT}"},
    "another port": {"host": "127.0.0.1:80"},
    "no host": {"host": None},
    "another site's page": {"origin": "http://evil.example"},
    "a page of another port": {"origin": "http://127.0.0.1:1"},
    "a page without an origin of its own": {"origin": "null"},
    "a form": {"content-type": "application/x-www-form-urlencoded"},
    "plain text, which any page may send": {"content-type": "text/plain"},
    "no content type": {"content-type": None},
    "no token": {TOKEN_HEADER: None},
    "another token": {TOKEN_HEADER: "the tokem"},
    "a token that is not ASCII": {TOKEN_HEADER: "é"},
}


@pytest.mark.parametrize("other", REFUSED.values(), ids=REFUSED)
def test_nobody_else_may_change_anything(other):
    assert Guard(port=PORT, token=TOKEN).refusal_to_change(allowed(**other))


# -- what happened ----------------------------------------------------------------------------------------------------


def test_an_event_is_told_with_the_names_that_people_know():
    ticker = Ticker(started_ns=10 * S)
    ticker.names[A] = "node-0"
    ticker.fold(11 * S, FilePublished(2, "folder/great.py", 100, b"root", A))
    ticker.fold(12 * S, DownloadFinished(A, b"d", 2, b"hash", 5, 1))
    ticker.fold(12 * S, PieceAccepted(A, b"d", 2, 0, [(B, 10)]))
    ticker.turn()
    assert ticker.since(0) == [
        {
            "number": 1,
            "at_s": 1.0,
            "kind": "FilePublished",
            "text": "file published: file 2 (great.py), folder/great.py, size bytes 100, node-0",
        },
        {
            "number": 2,
            "at_s": 2.0,
            "kind": "DownloadFinished",
            "text": "download finished: node-0, file 2 (great.py), blocks 5, wasted blocks 1",
        },
    ]
    assert ticker.since(2) == []


def test_many_events_of_a_kind_become_one_line():
    ticker = Ticker(started_ns=0)
    for number in range(MOST_OF_A_KIND + 1):
        ticker.fold(number * S, NodeJoined(A, 1))
    ticker.fold(9 * S, FaultMade("partition", "a <> b"))
    ticker.turn()
    texts = [line["text"] for line in ticker.since(0)]
    assert texts == [f"node joined: {MOST_OF_A_KIND + 1} times", "fault made: partition, a <> b"]


def test_old_lines_are_forgotten():
    ticker = Ticker(started_ns=0)
    for number in range(KEPT_LINES + 10):
        ticker.fold(number, NodeJoined(A, number))
        ticker.turn()
    assert [line["number"] for line in ticker.since(0)] == list(range(11, KEPT_LINES + 11))


# -- the network ------------------------------------------------------------------------------------------------------


@pytest.fixture
def network():
    made = Network(VirtualTime(), run_seed=1, default_link=parse_tc("loss 10%"))
    hosts = [made.add_host(name) for name in ("tracker", "node-0", "node-1")]
    for source in hosts:
        for target in hosts:
            if source is not target:
                made.make_route(source, target)
    return made


def read(drawing):
    for _ in drawing.steps():
        pass
    return drawing.told()


def test_the_map_tells_cuts_losses_and_who_is_down(network):
    drawing = NodeMap(network)
    before = read(drawing)
    assert before["names"] == ["tracker", "node-0", "node-1"]
    assert before["pairs"] == []  # nothing is busy
    assert before["loss"] == [0.1, 0.1, 0.1]
    network.crash("node-1")
    with network.partition(["node-0"], ["tracker", "node-1"]):
        network.impair_all(parse_tc("loss 30%"))
        drawing.fold(0, FaultMade("partition", ""))
        during = read(drawing)
    assert during["up"] == [1, 1, 0]
    assert during["cut"] == [0.5, 1.0, 0.5]
    assert during["loss"] == [0.3, 0.3, 0.3]
    assert sorted(during["pairs"]) == [[0, 1, 0, 1, 0.3], [1, 2, 0, 1, 0.3]]
    drawing.fold(0, FaultMade("heal", ""))
    assert read(drawing)["cut"] == [0.0, 0.0, 0.0]


def test_the_map_follows_links_and_hosts_that_come_later(network, monkeypatch):
    monkeypatch.setattr(node_map, "LINKS_PER_STEP", 2)
    drawing = NodeMap(network)
    read(drawing)
    late = network.add_host("late")
    network.make_route(late, network.hosts["tracker"])
    told = read(drawing)
    assert told["names"][-1] == "late"
    assert told["links"] == 7


def test_busy_pairs_are_told_with_what_arrived_since_the_last_reading(network):
    drawing = NodeMap(network)
    read(drawing)
    there, back = network.hosts["tracker"].routes, network.hosts["node-0"].routes
    for route, count in ((there[network.hosts["node-0"]], 3), (back[network.hosts["tracker"]], 2)):
        for number in range(count):
            network.fates.received(route.link_id, number, 0, 1000)
    told = read(drawing)
    assert told["pairs"] == [[0, 1, 5, 0, 0.1]]
    assert told["busy"] == [2, 3, 0]
    assert read(drawing)["pairs"] == []


def test_beyond_some_nodes_only_sums_are_told(network, monkeypatch):
    monkeypatch.setattr(node_map, "MOST_DRAWN_NODES", 1)
    assert read(NodeMap(network))["pairs"] is None


# -- controls ---------------------------------------------------------------------------------------------------------


def act(controls, **action):
    return controls.act(json.dumps(action).encode())


def is_open(network, source, target):
    hosts = network.hosts
    return hosts[source].routes[hosts[target]].link.open


def test_every_control_does_what_it_says(network):
    controls = Controls(network)
    link = network.hosts["node-0"].routes[network.hosts["node-1"]].link
    assert act(controls, action="impair", tc="loss 25% delay 40ms") == "every link: loss 25% delay 40ms"
    assert describe(link.config) == "loss 25% delay 40ms"
    act(controls, action="impair", tc=" ")
    assert describe(link.config) == "no impairment"
    assert act(controls, action="cut", nodes=["node-0"]) == "cut off: node-0"
    assert not is_open(network, "node-0", "tracker")
    assert not is_open(network, "node-1", "node-0")
    assert is_open(network, "node-1", "tracker")
    act(controls, action="cut", nodes=["node-0", "node-1"])
    act(controls, action="heal")
    assert is_open(network, "node-0", "node-1")
    assert is_open(network, "node-0", "tracker")
    assert act(controls, action="crash", node="node-1") == "crashed: node-1"
    assert not network.hosts["node-1"].up
    act(controls, action="restart", node="node-1")
    assert network.hosts["node-1"].up


@pytest.mark.parametrize(
    "action",
    [
        {"action": "impair", "tc": "loss 200%"},
        {"action": "impair", "tc": "nonsense"},
        {"action": "impair"},
        {"action": "cut", "nodes": []},
        {"action": "cut", "nodes": ["tracker", "node-0", "node-1"]},
        {"action": "cut", "nodes": ["nobody"]},
        {"action": "cut", "nodes": "node-0"},
        {"action": "crash", "node": "tracker"},
        {"action": "crash", "node": "nobody"},
        {"action": "restart", "node": "node-0"},
        {"action": "explode"},
        {"action": "heal", "more": 1},
        {},
    ],
)
def test_a_control_that_makes_no_sense_changes_nothing_and_says_why(network, action):
    told = []
    network._on_fault = lambda *fault: told.append(fault)
    with pytest.raises(ConfigError) as refused:
        act(Controls(network), **action)
    assert "allowed" in str(refused.value)
    assert not told


def test_when_the_run_is_over_cuts_are_healed_and_nothing_is_taken_any_more(network):
    controls = Controls(network)
    act(controls, action="cut", nodes=["node-0"])
    controls.close()
    assert is_open(network, "node-0", "tracker")
    with pytest.raises(ConfigError, match="the run is over"):
        act(controls, action="heal")


# -- over HTTP --------------------------------------------------------------------------------------------------------


class StillView:
    """A run of which nothing changes."""

    def facts(self):
        return {"scenario": "still"}

    def told(self, *, after):
        return {"after": after}

    def drawn(self):
        return {"names": ["tracker"]}


def still(**changed):
    store = SampleStore()
    number = store.series("level", {"instance": HERE})
    for second in range(10):
        store.append(1000 * (second + 1), [number], [float(second)])
    guard = Guard(port=PORT, token=TOKEN)
    clock = VirtualTime()
    return dataclasses.replace(Shown(StillView(), store, clock, guard), **changed)


async def ask(shown, path, *, body=None, query="", **other):
    """Ask the application; return status, headers and body."""
    application = Starlette(routes=page_routes(shown))
    got = {"body": b"", "status": 0, "headers": {}}
    headers = allowed(**other)

    async def receive():
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message):
        got["status"] = message.get("status", got["status"])
        got["headers"] |= {name.decode(): value.decode() for name, value in message.get("headers", [])}
        got["body"] += message.get("body", b"")

    scope = {
        "type": "http",
        "method": "GET" if body is None else "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
    }
    await application(scope, receive, send)
    return got["status"], got["headers"], got["body"]


async def test_the_page_and_all_its_files_come_from_here():
    status, headers, body = await ask(still(), "/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in headers["content-security-policy"]
    wanted = re.findall(r'(?:src|href)="(/[^"]+)"', body.decode())
    assert len(wanted) == 3
    for path in [*wanted, *(f"/page/files/{file.name}" for file in ASSETS.iterdir() if file.suffix in {".js", ".css"})]:
        status, headers, content = await ask(still(), path)
        assert (status, headers["x-content-type-options"]) == (200, "nosniff")
        assert len(content) == int(headers["content-length"]) > 0


def test_nothing_of_the_page_comes_from_elsewhere():
    for path in ASSETS.iterdir():
        if path.suffix in {".js", ".css", ".html"}:
            assert not re.search(r"https?://|//cdn", path.read_text(encoding="utf-8")), path.name


@pytest.mark.parametrize("name", ["nothing.js", "..%2fguard.py", "../guard.py", "guard.py", "README.md"])
async def test_no_other_file_is_served(name):
    assert (await ask(still(), f"/page/files/{name}"))[0] == 404


async def test_facts_have_the_generated_dashboards_and_the_token_where_there_is_something_to_control():
    _, _, body = await ask(still(), "/page/facts")
    told = json.loads(body)
    made = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(BOARDS.glob("*.json"))]
    assert told["boards"] == made
    assert (told["scenario"], told["token"]) == ("still", "")
    _, _, body = await ask(still(act=lambda data: ""), "/page/facts")
    assert json.loads(body)["token"] == TOKEN


async def test_the_state_comes_with_the_events_after_a_number():
    _, _, body = await ask(still(), "/page/state", query="after=17")
    assert json.loads(body) == {"after": 17, "bounds_ms": [1_000, 10_000], "nodes": {"names": ["tracker"]}}
    for odd in ("after=-1", "after=x", "after=" + "9" * 50, ""):
        assert json.loads((await ask(still(), "/page/state", query=odd))[2])["after"] == 0


async def test_the_queries_of_panels_are_answered_together_and_a_bad_one_alone_is_refused():
    asked = {
        "start_ms": 2_000,
        "end_ms": 4_000,
        "step_ms": 1_000,
        "queries": ["level", "level +"],
        "instant": ["level * 2"],
    }
    status, _, body = await ask(still(), "/page/ask", body=json.dumps(asked).encode())
    assert status == 200
    level, bad, doubled = json.loads(body)
    assert level["data"]["result"][0]["values"] == [[2, "1"], [3, "2"], [4, "3"]]
    assert "parse error" in bad["error"]
    assert doubled["data"]["result"][0]["value"] == [4, "6"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"start_ms":0,"end_ms":0,"step_ms":1,"queries":[],"instant":[],"x":1}',
        b"1" * 300_000,
    ],
)
async def test_a_malformed_question_is_one_clear_answer(body):
    status, _, answer = await ask(still(), "/page/ask", body=body)
    assert status == 400
    assert "\n" not in json.loads(answer)["error"]


async def test_more_queries_than_any_page_has_are_refused():
    asked = {"start_ms": 0, "end_ms": 0, "step_ms": 1, "queries": ["level"] * 201, "instant": []}
    assert (await ask(still(), "/page/ask", body=json.dumps(asked).encode()))[0] == 400


@pytest.mark.parametrize("path", ["/", "/page/facts", "/page/state", "/page/plotly.js"])
async def test_under_a_foreign_name_nothing_is_told(path):
    status, _, body = await ask(still(act=lambda data: ""), path, host=f"evil.example:{PORT}")
    assert status == 403
    assert TOKEN.encode() not in body


@pytest.mark.parametrize("other", REFUSED.values(), ids=REFUSED)
async def test_a_request_from_elsewhere_controls_nothing(other):
    done = []
    status, _, _ = await ask(still(act=done.append), "/page/control", body=b"{}", **other)
    assert status == 403
    assert not done


async def test_a_control_of_the_page_is_carried_out_and_a_bad_one_explained(network):
    shown = still(act=Controls(network).act)
    status, _, body = await ask(shown, "/page/control", body=b'{"action":"cut","nodes":["node-0"]}')
    assert (status, json.loads(body)) == (200, {"done": "cut off: node-0"})
    assert not is_open(network, "node-0", "tracker")
    status, _, body = await ask(shown, "/page/control", body=b'{"action":"crash","node":"nobody"}')
    assert status == 400
    assert "nobody" in json.loads(body)["error"]


async def test_a_finished_run_has_nothing_to_control():
    assert (await ask(still(), "/page/control", body=b"{}"))[0] == 409


# -- the page against the dashboards ----------------------------------------------------------------------------------


def panels():
    return [panel for path in BOARDS.glob("*.json") for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]]


def exported(file, name):
    source = (ASSETS / file).read_text(encoding="utf-8")
    return re.search(rf"export const {name} = \{{(.*?)\n?\}};", source, re.DOTALL)[1]


def test_every_panel_type_of_the_dashboards_has_a_renderer():
    drawn = {name.strip() for name in exported("panels.js", "renderers").split(",")}
    assert {panel["type"] for panel in panels()} <= drawn


def test_every_unit_of_the_dashboards_is_known():
    known = set(re.findall(r"^\s+(\w+): \{", exported("units.js", "units"), re.MULTILINE))
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in panels()} <= known
