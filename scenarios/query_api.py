"""trio: the Prometheus query API over samples in memory, as Starlette routes beside `/metrics`.

A Grafana pointed at this process, the live page and the report ask here as they would ask a Prometheus. Queries are evaluated one at a
time beside the event loop, so that a busy dashboard does not hold up the run that it watches. "Now" is the newest scrape.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import parse_qs

import msgspec
import promql_parser
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from netem.clock import Clock
from netem.offload import offload
from scenarios.promql import catalogue
from scenarios.promql.errors import BadQuery, QueryError
from scenarios.promql.functions import LABEL_NAME
from scenarios.promql.labels import Labels
from scenarios.promql.queries import evaluate_instant, evaluate_range
from scenarios.promql.rendering import rendered
from scenarios.promql.store import SampleStore
from scenarios.serving import TooLarge, body_of

MOST_BODY_BYTES = 2**20
FURTHEST_MS = 2**61  # time and duration add up to less than 64 bits
ALWAYS = (-FURTHEST_MS, FURTHEST_MS)
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
# Grafana asks for the version to know what the API can do: this is the release whose answers the evaluator is compared with.
BUILD = {
    "version": "2.42.0",
    "revision": "",
    "branch": "swarmbed",
    "buildUser": "swarmbed",
    "buildDate": "",
    "goVersion": "",
}

Parameters = dict[str, list[str]]
Answer = Callable[[SampleStore, Parameters], object]


def query_routes(store: SampleStore, *, clock: Clock) -> list[Route]:
    """Return the routes of the query API over a store.

    Answers have Prometheus's JSON shapes; a query that is malformed or outside the subset is a 400 `bad_data`, one without an answer
    on these samples a 422 `execution`. Nothing is changed by any request.
    """
    one_at_a_time = trio.CapacityLimiter(1)

    def endpoint(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                parameters = await _parameters(request)
            except BadQuery as error:
                return _refusal(error)
            async with one_at_a_time:
                return await offload(clock, lambda: _answered(answer, store, parameters))

        return handle

    both, get = ["GET", "POST"], ["GET"]
    table: tuple[tuple[str, Answer, list[str]], ...] = (
        ("query", _query, both),
        ("query_range", _query_range, both),
        ("labels", _labels, both),
        ("label/{name}/values", _label_values, get),
        ("series", _series, both),
        ("metadata", _metadata, get),
        ("status/buildinfo", lambda _store, _parameters: BUILD, get),
    )
    return [Route(f"/api/v1/{path}", endpoint(answer), methods=methods) for path, answer, methods in table]


async def _parameters(request: Request) -> Parameters:
    """Return the parameters of the address and of a form, and the label name of the path as `name`."""
    try:
        body = await body_of(request, most_bytes=MOST_BODY_BYTES)
    except TooLarge as fault:
        raise BadQuery(str(fault)) from None
    try:
        form = body.decode()
    except UnicodeDecodeError as error:
        raise BadQuery("the form is not UTF-8") from error
    found: Parameters = {}
    for text in (form, request.url.query):
        for name, values in parse_qs(text, keep_blank_values=True).items():
            found.setdefault(name, []).extend(values)
    return {**found, **{name: [str(value)] for name, value in request.path_params.items()}}


def _answered(answer: Answer, store: SampleStore, parameters: Parameters) -> Response:
    try:
        data = answer(store, parameters)
    except QueryError as error:
        return _refusal(error)
    return Response(msgspec.json.encode({"status": "success", "data": data}), media_type="application/json")


def _refusal(error: QueryError) -> Response:
    content = {"status": "error", "errorType": error.kind, "error": str(error)}
    return Response(msgspec.json.encode(content), error.status, media_type="application/json")


def _query(store: SampleStore, parameters: Parameters) -> object:
    now_ms = max(store.bounds_ms()[1], 0)
    return rendered(
        evaluate_instant(store, _one(parameters, "query"), time_ms=_time_ms(parameters, "time", default_ms=now_ms))
    )


def _query_range(store: SampleStore, parameters: Parameters) -> object:
    return rendered(
        evaluate_range(
            store,
            _one(parameters, "query"),
            start_ms=_time_ms(parameters, "start"),
            end_ms=_time_ms(parameters, "end"),
            step_ms=_duration_ms(parameters, "step"),
        )
    )


def _labels(store: SampleStore, parameters: Parameters) -> object:
    return catalogue.label_names(_found(store, parameters))


def _label_values(store: SampleStore, parameters: Parameters) -> object:
    name = _one(parameters, "name")
    if not LABEL_NAME.fullmatch(name):
        raise BadQuery(f"invalid label name: {name!r}")
    return catalogue.label_values(_found(store, parameters), name)


def _series(store: SampleStore, parameters: Parameters) -> object:
    if not parameters.get("match[]"):
        raise BadQuery("no match[] parameter provided")
    return [dict(labels) for labels in _found(store, parameters)]


def _found(store: SampleStore, parameters: Parameters) -> list[Labels]:
    between_ms = (
        _time_ms(parameters, "start", default_ms=ALWAYS[0]),
        _time_ms(parameters, "end", default_ms=ALWAYS[1]),
    )
    return catalogue.series(store, catalogue.selectors(parameters.get("match[]", [])), between_ms)


def _metadata(store: SampleStore, parameters: Parameters) -> object:
    limit = _one(parameters, "limit")
    if not re.fullmatch(r"\d{0,9}", limit, re.ASCII):
        raise BadQuery("limit must be a number")
    return catalogue.descriptions(store, metric=_one(parameters, "metric"), limit=int(limit) if limit else None)


def _one(parameters: Parameters, name: str) -> str:
    """Return a parameter's first value, '' when it is not there."""
    return parameters.get(name, [""])[0]


def _time_ms(parameters: Parameters, name: str, *, default_ms: int | None = None) -> int:
    """Return a time given as Unix seconds or as RFC 3339."""
    text = _one(parameters, name)
    if not text and default_ms is not None:
        return default_ms
    refusal = BadQuery(f"invalid parameter {name!r}: cannot parse {text!r} to a valid timestamp")
    if RFC3339.fullmatch(text):
        try:
            return _whole_ms(datetime.fromisoformat(text.upper()).timestamp(), refusal)
        except ValueError as error:
            raise refusal from error
    return _whole_ms(_number(text), refusal)


def _duration_ms(parameters: Parameters, name: str) -> int:
    """Return a duration given in seconds or as `1h30m`."""
    text = _one(parameters, name)
    refusal = BadQuery(f"invalid parameter {name!r}: cannot parse {text!r} to a valid duration")
    duration_s = _number(text)
    if math.isnan(duration_s):
        try:
            duration_s = promql_parser.parse_duration(text).total_seconds()
        except ValueError as error:
            raise refusal from error
    return _whole_ms(duration_s, refusal)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _whole_ms(time_s: float, refusal: BadQuery) -> int:
    if not abs(time_s) * 1000 < FURTHEST_MS:  # NaN too
        raise refusal
    return round(time_s * 1000)
