"""The live page over HTTP: its files, facts, state and queries, and its controls."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from starlette.applications import Starlette

from netem.virtual_time import VirtualTime
from scenarios.live import Live
from scenarios.live_controls import Answer
from scenarios.page.guard import Guard
from scenarios.page.routes import Shown, page_routes
from scenarios.promql.store import SampleStore
from tests.scenarios.page.asked import ASSETS, BOARDS, HERE, PORT, REFUSED, TOKEN, allowed


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


@pytest.mark.parametrize("name", ["nothing.js", "..%2fguard.py", "../guard.py", "guard.py", "README.md"])
async def test_no_other_file_is_served(name):
    assert (await ask(still(), f"/page/files/{name}"))[0] == 404


async def test_facts_have_the_generated_dashboards_and_the_token_where_there_is_something_to_control():
    _, _, body = await ask(still(), "/page/facts")
    told = json.loads(body)
    made = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(BOARDS.glob("*.json"))]
    assert told["boards"] == made
    assert (told["scenario"], told["token"]) == ("still", "")
    _, _, body = await ask(still(do=Answer), "/page/facts")
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
    status, _, body = await ask(still(do=Answer), path, host=f"evil.example:{PORT}")
    assert status == 403
    assert TOKEN.encode() not in body


@pytest.mark.parametrize("other", REFUSED.values(), ids=REFUSED)
async def test_a_request_from_elsewhere_controls_nothing(other):
    done = []
    status, _, _ = await ask(still(do=done.append), "/page/control", body=b"{}", **other)
    assert status == 403
    assert not done


async def test_a_control_of_the_page_is_carried_out_and_a_bad_one_explained(network):
    shown = still(do=Live(network).do)
    status, _, body = await ask(shown, "/page/control", body=b'{"do":"partition","group":["node-0"]}')
    assert (status, json.loads(body)) == (200, {"done": ["node-0 <> tracker, node-1"]})
    assert not network.hosts["node-0"].routes[network.hosts["tracker"]].link.open


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"do":"crash","hosts":["nobody"]}', "host"),
        (b'{"do":"crash","hosts":["tracker"]}', "crash"),
        (b'{"do":"restart","hosts":["node-0"]}', "restart"),
        (b'{"do":"set","line":"loss 200%"}', "loss"),
        (b'{"do":"partition","group":["*"]}', "hosts"),
        (b'{"do":"partition","group":[]}', "group"),
        (b'{"do":"explode"}', "explode"),
        (b'{"do":"heal","more":1}', "more"),
        (b"{}", "do"),
        (b"\xff", ""),
    ],
)
async def test_a_control_that_makes_no_sense_changes_nothing_and_says_why(network, body, field):
    told = []
    network._on_fault = lambda *fault: told.append(fault)
    status, _, answer = await ask(still(do=Live(network).do), "/page/control", body=body)
    said = json.loads(answer)["error"]
    assert (status, told) == (400, [])
    assert field in said
    assert "\n" not in said


async def test_a_finished_run_has_nothing_to_control():
    assert (await ask(still(), "/page/control", body=b"{}"))[0] == 409
