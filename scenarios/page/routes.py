"""trio: the routes of the live page: its files, the run's state, the panels' numbers, and the controls.

The same routes serve a run that goes on and one that is long over: what they show comes from a `View` and a store of samples.

Source: DESIGN section 5 (one page, no installation, the panels drawn through the query API).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec
import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from netem.clock import Clock
from netem.errors import ConfigError
from netem.offload import offload
from scenarios.live_controls import Answer, AnyControl, decode_control
from scenarios.page.guard import Guard
from scenarios.page.view import View
from scenarios.promql.errors import QueryError
from scenarios.promql.queries import evaluate_instant, evaluate_range
from scenarios.promql.rendering import rendered
from scenarios.promql.store import SampleStore
from scenarios.serving import Large, TooLarge, body_of

MOST_BODY_BYTES = 256 * 1024
MOST_QUERIES = 200
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
# Everything comes from here; plotly sets styles on elements, and draws pictures that are data.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'"
Do = Callable[[AnyControl], Answer]
Endpoint = Callable[[Request], Awaitable[Response]]


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """Queries of panels, all over the same range, or at one time where `instant`; times in Unix ms."""

    start_ms: int
    end_ms: int
    step_ms: int
    queries: list[str]
    instant: list[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page is about.

    Args:
        view: the run.
        store: its samples.
        clock: decides whether queries may hold up the event loop.
        guard: judges requests.
        do: does what a control says; None where there is nothing to control.
    """

    view: View
    store: SampleStore
    clock: Clock
    guard: Guard
    do: Do | None = None


def page_routes(shown: Shown) -> list[Route]:
    """Return the routes of the page; all of them refuse hosts that are not this one, and changes not from this page."""
    one_at_a_time = trio.CapacityLimiter(1)

    async def state(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        told = shown.view.told(after=int(after) if after.isdecimal() and len(after) < 16 else 0)
        return _json(told | {"bounds_ms": shown.store.bounds_ms(), "nodes": shown.view.drawn()})

    async def facts(_request: Request) -> Response:
        boards = [_read(path) for path in sorted(_boards(), key=lambda path: path.name)]
        told = {"boards": [msgspec.Raw(board) for board in boards], "token": shown.guard.token if shown.do else ""}
        return _json(shown.view.facts() | told)

    async def ask(request: Request) -> Response:
        asked = msgspec.json.decode(await body_of(request, most_bytes=MOST_BODY_BYTES), type=Ask)
        if len(asked.queries) + len(asked.instant) > MOST_QUERIES:
            return _refused(400, f"at most {MOST_QUERIES} queries at once")
        async with one_at_a_time:
            return _json(await offload(shown.clock, lambda: _answers(shown.store, asked)))

    async def control(request: Request) -> Response:
        if refusal := shown.guard.refusal_to_change(request.headers):
            return _refused(403, refusal)
        if shown.do is None:
            return _refused(409, "there is no running testbed to control")
        return _json({"done": shown.do(decode_control(await body_of(request, most_bytes=MOST_BODY_BYTES))).said})

    async def file(request: Request) -> Response:
        path = _assets().get(request.path_params["name"])
        if path is None:
            return _refused(404, "there is no such file")
        return _file(path)

    async def plotly(_request: Request) -> Response:
        return _file(_plotly(), headers={"cache-control": "max-age=86400"})

    async def root(_request: Request) -> Response:
        return _file(_assets()["index.html"])

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def handle(request: Request) -> Response:
            if refusal := shown.guard.refusal(request.headers):
                return _refused(403, refusal)
            try:
                return await endpoint(request)
            except (ConfigError, msgspec.DecodeError, TooLarge) as fault:
                return _refused(400, str(fault))
            except ClientDisconnect:
                return Response()  # nobody is left to read it

        return handle

    read: tuple[tuple[str, Endpoint], ...] = (
        ("/", root),
        ("/page/files/{name}", file),
        ("/page/plotly.js", plotly),
        ("/page/facts", facts),
        ("/page/state", state),
    )
    posted: tuple[tuple[str, Endpoint], ...] = (("/page/ask", ask), ("/page/control", control))
    return [
        *(Route(path, guarded(endpoint), methods=["GET"]) for path, endpoint in read),
        *(Route(path, guarded(endpoint), methods=["POST"]) for path, endpoint in posted),
    ]


def _answers(store: SampleStore, asked: Ask) -> list[dict[str, Any]]:
    """Answer each query in the shapes of the Prometheus API, refusals too."""
    start_ms, end_ms, step_ms = asked.start_ms, asked.end_ms, asked.step_ms
    ranges = [
        lambda query=query: evaluate_range(store, query, start_ms=start_ms, end_ms=end_ms, step_ms=step_ms)
        for query in asked.queries
    ]
    instants = [lambda query=query: evaluate_instant(store, query, time_ms=end_ms) for query in asked.instant]
    return [_answer(evaluate) for evaluate in (*ranges, *instants)]


def _answer(evaluate: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"data": rendered(evaluate())}
    except QueryError as fault:
        return {"error": str(fault)}


def _boards() -> list[Traversable]:
    # The generated dashboards are data of the package `grafana`; its code is for those who make them.
    folder = resources.files("grafana") / "dashboards"
    return [path for path in folder.iterdir() if path.name.endswith(".json")]


def _plotly() -> Path:
    """Return plotly's script; the package itself is not imported, which would hold the event loop up for half a second."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def _assets() -> dict[str, Traversable]:
    folder = resources.files("scenarios.page") / "assets"
    return {path.name: path for path in folder.iterdir() if path.name.endswith(tuple(TYPES))}


def _read(path: Traversable) -> bytes:
    return path.read_bytes()


def _file(path: Traversable, *, headers: dict[str, str] | None = None) -> Response:
    kind = TYPES[path.name[path.name.rindex(".") :]]
    told = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "cache-control": "no-store"}
    return Large(path.read_bytes(), media_type=kind, headers=told | (headers or {}))


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json", headers={"cache-control": "no-store"})


def _refused(status: int, why: str) -> Response:
    return Response(msgspec.json.encode({"error": why}), status, media_type="application/json")
