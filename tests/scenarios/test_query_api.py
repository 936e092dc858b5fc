"""The query API has Prometheus's shapes, codes and limits: what a Grafana asks gets its answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette

from scenarios.promql.store import Description, SampleStore
from scenarios.query_api import query_routes

BASE_MS = 1_700_000_000_000


@pytest.fixture
def store():
    made = SampleStore()
    numbers = [made.series("sent_total", {"node": node, "run": "r1"}) for node in ("n1", "n2")]
    numbers.append(made.series("depth", {"node": "n1", "zone": "x"}))
    for scrape in range(60):
        made.append(BASE_MS + 1000 * scrape, numbers, [2.0 * scrape, 3.0 * scrape, 0.5])
    made.descriptions["sent_total"] = Description("counter", "Datagrams sent.")
    made.descriptions["depth"] = Description("gauge", "Queue depth.", "bytes")
    return made


@pytest.fixture
def ask(store, request):
    """Ask the application for a path with parameters; lists are repeated; `form` makes it a POST with a form."""
    asked_of = SampleStore() if getattr(request, "param", "") == "empty" else store
    application = Starlette(routes=query_routes(asked_of, clock=SimpleNamespace(virtual=False)))

    async def asked(path, *, form=None, method=None, **parameters):
        status, body = 0, b""
        sent = urlencode(form, doseq=True).encode() if form is not None and not isinstance(form, bytes) else form

        async def receive():
            return {"type": "http.request", "body": sent or b"", "more_body": False}

        async def send(message):
            nonlocal status, body
            status = message.get("status", status)
            body += message.get("body", b"")

        scope = {
            "type": "http",
            "method": method or ("GET" if form is None else "POST"),
            "path": f"/api/v1/{path}",
            "query_string": urlencode(parameters, doseq=True).encode(),
            "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
        }
        await application(scope, receive, send)
        return status, json.loads(body) if status != 405 else None

    return asked


async def test_grafanas_health_check_is_answered(ask):
    status, answer = await ask("query", form={"query": "1+1", "time": BASE_MS / 1000})
    assert (status, answer) == (
        200,
        {"status": "success", "data": {"resultType": "scalar", "result": [1_700_000_000, "2"]}},
    )


async def test_build_information_tells_a_version(ask):
    status, answer = await ask("status/buildinfo")
    assert status == 200
    assert answer["data"]["version"].startswith("2.")


@pytest.mark.parametrize("in_form", [True, False])
async def test_a_range_query_may_come_by_get_or_post(ask, in_form):
    given = {"query": 'rate(sent_total{node="n1"}[5s])', "start": 1_700_000_010, "end": 1_700_000_012, "step": 1}
    status, answer = await (ask("query_range", form=given) if in_form else ask("query_range", **given))
    assert status == 200
    assert answer["data"] == {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"node": "n1", "run": "r1"},
                "values": [[1_700_000_010, "2"], [1_700_000_011, "2"], [1_700_000_012, "2"]],
            }
        ],
    }


async def test_a_query_without_a_time_is_about_the_newest_scrape(ask):
    _, answer = await ask("query", query='sent_total{node="n2"}')
    metric = {"__name__": "sent_total", "node": "n2", "run": "r1"}
    assert answer["data"] == {
        "resultType": "vector",
        "result": [{"metric": metric, "value": [1_700_000_059, "177"]}],
    }


@pytest.mark.parametrize(
    "time", ["2023-11-14T22:13:30Z", "2023-11-14T23:13:30+01:00", "1700000010", "1700000010.0001", "1.70000001e9"]
)
async def test_times_are_seconds_or_rfc_3339(ask, time):
    _, answer = await ask("query", query="depth", time=time)
    assert answer["data"]["result"][0]["value"] == [1_700_000_010, "0.5"]


@pytest.mark.parametrize("step", ["2", "2s", "2000ms", "2.0"])
async def test_steps_are_seconds_or_durations(ask, step):
    _, answer = await ask("query_range", query="depth", start=1_700_000_000, end=1_700_000_005, step=step)
    assert [at for at, _ in answer["data"]["result"][0]["values"]] == [1_700_000_000, 1_700_000_002, 1_700_000_004]


async def test_names_values_and_series_are_told_with_and_without_selectors(ask):
    assert (await ask("labels"))[1]["data"] == ["__name__", "node", "run", "zone"]
    assert (await ask("labels", form={"match[]": ["sent_total"]}))[1]["data"] == ["__name__", "node", "run"]
    assert (await ask("label/node/values"))[1]["data"] == ["n1", "n2"]
    assert (await ask("label/node/values", **{"match[]": ['depth{zone="x"}']}))[1]["data"] == ["n1"]
    assert (await ask("label/__name__/values"))[1]["data"] == ["depth", "sent_total"]
    assert (await ask("label/missing/values"))[1]["data"] == []
    found = await ask("series", **{"match[]": ["depth", 'sent_total{node="n2"}']})
    assert found[1]["data"] == [
        {"__name__": "depth", "node": "n1", "zone": "x"},
        {"__name__": "sent_total", "node": "n2", "run": "r1"},
    ]


async def test_nothing_is_told_of_a_time_without_scrapes(ask):
    assert (await ask("label/node/values", end=1_600_000_000))[1]["data"] == []
    assert (await ask("series", **{"match[]": "depth"}, start=1_800_000_000))[1]["data"] == []


async def test_metric_families_are_described(ask):
    _, answer = await ask("metadata")
    assert answer["data"]["depth"] == [{"type": "gauge", "help": "Queue depth.", "unit": "bytes"}]
    assert list((await ask("metadata", metric="sent_total"))[1]["data"]) == ["sent_total"]
    assert len((await ask("metadata", limit=1))[1]["data"]) == 1


REFUSED = [
    ("query", {"query": "sum("}, 400, "parse error"),
    ("query", {}, 400, "parse error"),
    ("query", {"query": "depth", "time": "yesterday"}, 400, "'time'"),
    ("query", {"query": "depth", "time": "NaN"}, 400, "'time'"),
    ("query", {"query": "depth", "time": "1e300"}, 400, "'time'"),
    ("query", {"query": "depth", "time": "2023-13-14T22:13:30Z"}, 400, "'time'"),
    ("query", {"query": "depth", "time": "2023-11-14"}, 400, "'time'"),
    ("query", {"query": "deriv(depth[5s])"}, 400, "deriv()"),
    ("query", {"query": "depth @ 3"}, 400, "@ modifier"),
    ("query", {"query": "stddev(depth)"}, 400, "stddev"),
    ("query", {"query": "depth atan2 depth"}, 400, "atan2"),
    ("query", {"query": 'count_values("x", depth)'}, 400, "count_values"),
    ("query", {"query": "rate(depth[5m:])"}, 400, "subquery without a step"),
    ("query", {"query": 'depth{zone="x" or node="n1"}'}, 400, "`or` between matchers"),
    ("query", {"query": "max_over_time(depth[1y:1ms])"}, 400, "steps"),
    ("query", {"query": "sent_total * on(run) sent_total"}, 422, "many-to-many"),
    ("query_range", {"query": "depth", "start": 0, "end": 1}, 400, "'step'"),
    ("query_range", {"query": "depth", "start": 0, "end": 1, "step": 0}, 400, "zero or negative"),
    ("query_range", {"query": "depth", "start": 0, "end": 1, "step": "1x"}, 400, "'step'"),
    ("query_range", {"query": "depth", "start": 2, "end": 1, "step": 1}, 400, "before start"),
    ("query_range", {"query": "depth", "start": 0, "end": 11_001, "step": 1}, 400, "11,000 points"),
    ("query_range", {"query": "depth[5s]", "start": 0, "end": 1, "step": 1}, 400, "range vector"),
    ("query_range", {"query": "depth", "end": 1, "step": 1}, 400, "'start'"),
    ("series", {}, 400, "match[]"),
    ("series", {"match[]": "rate(depth[5s])"}, 400, "selector"),
    ("series", {"match[]": "depth offset 5m"}, 400, "selector"),
    ("labels", {"match[]": "{"}, 400, "parse error"),
    ("label/a-b/values", {}, 400, "label name"),
    ("metadata", {"limit": "x"}, 400, "limit"),
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda it: f"{it[0]}-{it[1]}"[:60])
async def test_what_cannot_be_answered_is_refused_with_its_reason(ask, refused):
    path, parameters, status, says = refused
    code, answer = await ask(path, **parameters)
    assert code == status
    assert answer["status"] == "error"
    assert answer["errorType"] == {400: "bad_data", 422: "execution"}[status]
    assert says in answer["error"]


async def test_the_most_points_allowed_are_answered(ask):
    status, _ = await ask("query_range", query="depth", start=0, end=11_000, step=1)
    assert status == 200


async def test_a_form_that_is_too_large_or_no_text_is_refused(ask):
    assert (await ask("query", form=b"query=" + b"1" * 2**20))[0] == 400
    assert (await ask("query", form=b"\xff"))[0] == 400


async def test_label_values_are_not_for_posting(ask):
    assert (await ask("label/node/values", method="POST"))[0] == 405


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("query", {"query": "sum(rate(depth[5s])) / depth"}),
        ("query_range", {"query": "histogram_quantile(0.9, x_bucket)", "start": 0, "end": 9, "step": 1}),
        ("query_range", {"query": "max_over_time(irate(depth[5s])[9s:2s])", "start": 0, "end": 9, "step": 1}),
        ("series", {"match[]": "depth"}),
        ("labels", {}),
        ("metadata", {}),
    ],
)
@pytest.mark.parametrize("ask", ["empty"], indirect=True)
async def test_before_the_first_scrape_there_is_nothing(ask, path, parameters):
    status, answer = await ask(path, **parameters)
    assert status == 200
    assert not (answer["data"]["result"] if "query" in path else answer["data"])
