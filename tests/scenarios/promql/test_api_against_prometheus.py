"""The query API's answers are those of a real Prometheus, word for word where both hold the same samples."""

from __future__ import annotations

import json

import pytest

from scenarios.promql.errors import QueryError
from scenarios.query_api import _label_values, _labels, _query, _query_range, _series

pytestmark = pytest.mark.slow  # a Prometheus is started

AT = 1_700_000_077.345
RANGE = {"start": 1_700_000_000, "end": 1_700_000_130.5, "step": "7s"}
MATCHES = ["depth", 'sent_total{role="a"}', '{node=~"n[12]"}']

REQUESTS = [
    ("query", _query, {"query": "1+1", "time": AT}),
    ("query", _query, {"query": "vector(1) / 3", "time": AT}),
    *(
        ("query", _query, {"query": f"vector({number})", "time": AT})
        for number in ("1e21", "1e20", "1e-6", "1e-7", "-0", "123456789.125", "1e16", "5e-324", "Inf", "-Inf", "NaN")
    ),
    ("query", _query, {"query": "topk(4, depth)", "time": AT}),
    ("query", _query, {"query": "sum(", "time": AT}),
    ("query", _query, {"query": "1", "time": "soon"}),
    ("query", _query, {"query": "depth * on(role) node_info", "time": AT}),
    ("query_range", _query_range, {"query": "sent_total", **RANGE}),
    ("query_range", _query_range, {"query": "wait_seconds_bucket", **RANGE}),
    ("query_range", _query_range, {"query": "time()", **RANGE}),
    ("query_range", _query_range, {"query": "1", **RANGE, "step": "-1"}),
    ("query_range", _query_range, {"query": "1", **RANGE, "step": "0.001"}),
    ("query_range", _query_range, {"query": "1", **RANGE, "end": 1_600_000_000}),
    ("labels", _labels, {}),
    ("labels", _labels, {"match[]": MATCHES}),
    ("labels", _labels, {"match[]": "rate(x[5s])"}),
    ("labels", _labels, {"match[]": "unknown"}),
    ("label/node/values", _label_values, {}),
    ("label/node/values", _label_values, {"match[]": MATCHES[1:2]}),
    ("label/__name__/values", _label_values, {"match[]": '{node="n1"}'}),
    ("label/a-b/values", _label_values, {}),
    ("label/none/values", _label_values, {}),
    ("series", _series, {"match[]": MATCHES}),
    ("series", _series, {}),
]


def ours(store, path, answer, parameters):
    given = {name: list(map(str, it if isinstance(it, list) else [it])) for name, it in parameters.items()}
    if path.startswith("label/"):
        given["name"] = [path.split("/")[1]]
    try:
        return 200, json.loads(json.dumps(answer(store, given)))
    except QueryError as error:
        return error.status, error.kind


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda it: f"{it[0]}-{it[-1]}"[:60])
def test_an_answer_is_prometheus_own(data, prometheus, request_):
    path, answer, parameters = request_
    status, wanted = prometheus.get(path, **parameters)
    wanted = wanted["data"] if status == 200 else wanted["errorType"]
    found_status, found = ours(data.store, path, answer, parameters)
    assert found_status == status
    if path == "series" and status == 200:
        found, wanted = sorted(map(json.dumps, found)), sorted(map(json.dumps, wanted))
    assert found == wanted
