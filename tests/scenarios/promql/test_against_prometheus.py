"""The evaluator answers as a real Prometheus does, on the same samples: a grid of expressions, and random ones."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.promql.errors import QueryError
from scenarios.promql.queries import Matrix, Scalar, evaluate_instant, evaluate_range

pytestmark = pytest.mark.slow  # a Prometheus is started

BASE_MS = 1_700_000_000_000
START_MS, END_MS, STEP_MS = (
    BASE_MS - 3_000,
    BASE_MS + 440_000,
    4_500,
)  # before the first scrape, after the last lookback
# Sums of a thousand values below a thousand, in any order, differ by about 1000 * 1000 * 2**-52.
CLOSE = {"rel_tol": 1e-9, "abs_tol": 1e-9}

Rows = dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]


def ours(store: Any, query: str, **times: int) -> tuple[int, Rows]:
    try:
        result = evaluate_range(store, query, **times)
    except QueryError as error:
        return error.status, {}
    times_ms = result.times_ms.tolist()
    return 200, {
        labels: [(at, value) for at, value, here in zip(times_ms, row, there, strict=True) if here]
        for labels, row, there in zip(
            result.frame.labels, result.frame.values.tolist(), result.frame.present.tolist(), strict=True
        )
    }


def theirs(prometheus: Any, query: str, *, start_ms: int, end_ms: int, step_ms: int) -> tuple[int, Rows]:
    status, answer = prometheus.get(
        "query_range", query=query, start=start_ms / 1000, end=end_ms / 1000, step=step_ms / 1000
    )
    rows = answer["data"]["result"] if status == 200 else []
    return status, {
        tuple(sorted(row["metric"].items())): [(round(at * 1000), float(value)) for at, value in row["values"]]
        for row in rows
    }


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, **CLOSE)


def assert_equal(data: Any, prometheus: Any, query: str, *, step_ms: int = STEP_MS) -> int:
    """Compare a range query; return how many samples were compared."""
    times = {"start_ms": START_MS, "end_ms": END_MS, "step_ms": step_ms}
    (status, found), (wanted_status, wanted) = ours(data.store, query, **times), theirs(prometheus, query, **times)
    assert status == wanted_status, f"{query}: {status}, Prometheus says {wanted_status}"
    assert sorted(found) == sorted(wanted), query
    for labels, row in wanted.items():
        assert [at for at, _ in found[labels]] == [at for at, _ in row], (query, labels)
        for (at, value), (_, other) in zip(found[labels], row, strict=True):
            assert same(value, other), (query, labels, at, value, other)
    return sum(map(len, wanted.values()))


SELECTORS = [
    "sent_total",
    'sent_total{role="a"}',
    'depth{node!="n1"}',
    'depth{node=~"n[1-3]|n6"}',
    'depth{node=~"n"}',
    'sent_total{half!~"0|x",node=~".*[0-4]"}',
    '{__name__=~"sent_.*|depth",role="b"}',
    'depth{zone=""}',
    'node_info{zone!=""}',
    'depth{node=~"(?i)N2"}',
    "sent_total offset 7s",
    "depth offset -3s",
    "odd",
    "unknown",
]
OVER_RANGES = [
    f"{function}({selector})"
    for function in (
        *("rate", "increase", "delta", "irate", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time"),
        *("count_over_time", "last_over_time"),
    )
    for selector in (
        "sent_total[5s]",
        "sent_total[1s]",
        "sent_total[47s] offset 3s",
        'depth{node=~"n[356]"}[20s]',
        "odd[6s]",
        "wait_seconds_bucket[10m]",
        "(sent_total + 1)[30s:4s]",
        "depth[9s:2500ms] offset 5s",
    )
]
AGGREGATIONS = [
    f"{operator}{grouping}({vector})"
    for operator in ("sum", "avg", "min", "max", "count")
    for grouping in ("", " by (role)", " without (node, half)", " by (missing)", " by (role, __name__)")
    for vector in ("depth", "rate(sent_total[5s])", "odd", "unknown")
]
OTHERS = [
    "1 + 1",
    "-1 ^ 2",
    "2 ^ 3 ^ 2",
    "-depth",
    "- - depth",
    "1 - 2 - 3",
    "7 % -4",
    "-7 % 4",
    "1 / 0",
    "0 / 0",
    "0x1f",
    "010",
    "1e3",
    "Inf",
    "-Inf",
    "NaN",
    "time()",
    "-time() / 2",
    "1 > bool 2",
    "time() >= bool 1700000010",
    "vector(3)",
    "vector(time())",
    'scalar(depth{node="n1"})',
    "scalar(depth)",
    "scalar(unknown)",
    "abs(depth)",
    "clamp_min(depth, 1)",
    "clamp_max(depth, scalar(unknown))",
    'clamp_min(depth, scalar(depth{node="n0"}))',
    "topk(2, depth)",
    "bottomk(3, sent_total)",
    "topk by (role) (1, depth)",
    "topk(0, depth)",
    "topk(-1, depth)",
    "topk(1.9, depth)",
    "topk(NaN, depth)",
    "topk(1e30, depth)",
    'topk(scalar(depth{node="n4"}), depth)',
    "bottomk without (node) (1, rate(sent_total[5s]))",
    *(f"quantile({share}, depth)" for share in ("0", "0.5", "0.83", "1", "1.1", "-0.1", "NaN")),
    "quantile by (role) (0.9, depth)",
    "quantile(0.5, odd)",
    *(f"quantile_over_time({share}, depth[15s])" for share in ("0.25", "1", "2", "-1", "NaN")),
    "quantile_over_time(0.7, odd[9s])",
    "quantile_over_time(scalar(sum(node_info)) / 10, depth[15s])",
    *(f"histogram_quantile({share}, wait_seconds_bucket)" for share in ("0", "0.5", "0.99", "1", "1.1", "-1", "NaN")),
    "histogram_quantile(0.9, rate(wait_seconds_bucket[10s]))",
    "histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[10s])))",
    "histogram_quantile(0.5, depth)",
    'histogram_quantile(0.5, wait_seconds_bucket{le!="+Inf"})',
    'histogram_quantile(0.5, wait_seconds_bucket{le="+Inf"})',
    "depth > 2",
    "2 < depth",
    "depth > bool 2",
    "2 >= bool depth",
    "depth == 3",
    "odd != 1",
    "odd == odd",
    "depth + 1",
    "10 / depth",
    "depth % 2",
    "depth ^ 0.5",
    "sent_total / depth",
    "sent_total / ignoring(half) depth",
    "sent_total * on(node) depth",
    "sent_total * on(node, role) depth",
    "depth * on(node) group_left(zone) node_info",
    "depth * on(node) group_left(zone, role) node_info",
    "depth * on(node) group_left node_info",
    "node_info * on(node) group_right(zone) depth",
    "node_info * on(role) depth",
    "depth * on(role) node_info",
    "depth + on(role) depth",
    "sum by (role) (depth) + on(role) group_right depth",
    "depth / on(role) group_left sum by (role) (depth)",
    "depth / on(role) group_left() unknown",
    "depth > on(node) node_info",
    "depth > bool on(node) node_info",
    "depth > on(role) group_left avg by (role) (depth)",
    "avg by (role) (depth) < on(role) group_right depth",
    "depth < bool on(role) group_left avg by (role) (depth)",
    "sum by (role) (depth > 0) / count by (role) (depth)",
    "depth and sent_total",
    "depth and on(node) sent_total",
    'depth and ignoring(half) sent_total{node="n1"}',
    "depth unless on(node) sent_total",
    "depth unless on(node) (node_info > 1)",
    "depth or on(node) node_info",
    "(depth > 3) or (depth < 1)",
    "node_info or depth",
    "depth or vector(0)",
    "sum(unknown) or vector(0)",
    "unknown and depth",
    "depth and on() (sum(depth) > 10)",
    'label_replace(depth, "kind", "x-$1", "node", "n(.*)")',
    'label_replace(depth, "kind", "${1}y$$", "node", "n([0-3])")',
    'label_replace(depth, "kind", "$1y", "node", "n(.)")',
    'label_replace(depth, "kind", "$name", "node", "n(?P<name>.)")',
    'label_replace(depth, "kind", "$9", "node", "n(.)")',
    'label_replace(depth, "node", "", "node", ".*")',
    'label_replace(depth{node=~"n[12]"}, "node", "", "zone", "")',
    'label_replace(depth, "role", "", "role", "b")',
    'label_replace(depth, "a-b", "x", "node", ".*")',
    'label_replace(depth, "b", "x", "node", "(")',
    'label_replace(depth, "__name__", "renamed", "role", "b")',
    'rate({__name__=~"sent_total|depth"}[5s])',
    '{__name__=~"sent_total|odd|depth"} + 1',
    '-{__name__=~"sent_total|depth"}',
    "max_over_time(rate(sent_total[5s])[30s:5s])",
    "sum(sum_over_time((depth > 2)[10s:1s]))",
    "rate(sum(sent_total)[20s:3s])",
    "sum(depth) by (role) / ignoring(role) group_left sum(depth)",
    "depth[5s]",
    '"text"',
    "rate(depth)",
    "sum(",
    "depth @",
    "1 == 1",
    "nosuch(depth)",
    'depth{node=~"("}',
    '{node=~".*"}',
    "{}",
]
ALL = [*SELECTORS, *OVER_RANGES, *AGGREGATIONS, *OTHERS]


@pytest.mark.parametrize("query", [*OVER_RANGES, "depth", "quantile_over_time(0.5, depth[5s])"])
def test_there_is_nothing_long_before_and_after_the_samples(data, prometheus, query):
    for start_ms in (BASE_MS - 10_000_000, BASE_MS + 10_000_000):
        times = {"start_ms": start_ms, "end_ms": start_ms + 9_000, "step_ms": 3_000}
        assert ours(data.store, query, **times) == theirs(prometheus, query, **times) == (200, {})


@pytest.mark.parametrize("query", ALL)
def test_a_query_over_a_range_has_prometheus_values(data, prometheus, query):
    assert_equal(data, prometheus, query)


def test_the_grid_compares_tens_of_thousands_of_samples(data, prometheus):
    assert sum(assert_equal(data, prometheus, query) for query in SELECTORS + OVER_RANGES) > 10_000


@pytest.mark.parametrize(
    "query", [*SELECTORS, "sum by (role) (depth)", "topk(3, depth)", "sent_total[5s]", "depth[9s:2s]", "1 + 1"]
)
def test_a_query_at_one_time_has_prometheus_values(data, prometheus, query):
    time_ms = BASE_MS + 77_345
    found = evaluate_instant(data.store, query, time_ms=time_ms)
    _, answer = prometheus.get("query", query=query, time=time_ms / 1000)
    wanted = answer["data"]
    if isinstance(found, Scalar):
        assert (wanted["resultType"], float(wanted["result"][1])) == ("scalar", found.value)
        return
    times = found.times_ms.tolist() if isinstance(found, Matrix) else [time_ms]
    mine = {
        labels: [(at, value) for at, value, here in zip(times, row, there, strict=True) if here]
        for labels, row, there in zip(
            found.frame.labels, found.frame.values.tolist(), found.frame.present.tolist(), strict=True
        )
    }
    other = {
        tuple(sorted(row["metric"].items())): [
            (round(at * 1000), float(value)) for at, value in row.get("values", [row.get("value")])
        ]
        for row in wanted["result"]
    }
    assert repr(mine) == repr({labels: other[labels] for labels in mine})
    assert len(mine) == len(other)
    if query.startswith("topk"):
        assert list(mine) == list(other)


def windows() -> st.SearchStrategy[str]:
    plain = st.tuples(st.sampled_from(SELECTORS[:9]), st.sampled_from(["1s", "3s", "10s", "31s", "2m"])).map(
        lambda it: f"{it[0].split(' offset')[0]}[{it[1]}]"
    )
    return st.tuples(plain, st.sampled_from(["", " offset 2s", " offset -4s"])).map("".join)


def vectors() -> st.SearchStrategy[str]:
    functions = st.sampled_from(
        ["rate", "increase", "delta", "irate", "avg_over_time", "max_over_time", "last_over_time"]
    )
    leaves = st.one_of(
        st.sampled_from(SELECTORS),
        st.tuples(functions, windows()).map(lambda it: f"{it[0]}({it[1]})"),
        st.sampled_from(["wait_seconds_bucket", "node_info", "vector(2)"]),
    )
    grouping = st.sampled_from(["", " by (role)", " by (node)", " without (node)", " by (le)"])
    modifier = st.sampled_from(["", " on(node)", " on(node, role)", " ignoring(half, zone)", " on()"])
    left = st.sampled_from(["", " group_left", " group_right", " group_left(zone)"])
    number = st.sampled_from(["0", "-1.5", "3", "scalar(sum(node_info))", "time()"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        operators = st.sampled_from(["+", "-", "*", "/", "%", "^", "==", "!=", ">", "<=", "> bool", "== bool"])
        return st.one_of(
            st.tuples(st.sampled_from(["sum", "avg", "min", "max", "count"]), grouping, inner).map(
                lambda it: f"{it[0]}{it[1]}({it[2]})"
            ),
            st.tuples(
                st.sampled_from(["abs({0})", "-({0})", "clamp_max({0}, 3)", "({0})", "quantile(0.4, {0})"]), inner
            ).map(lambda it: it[0].format(it[1])),
            st.tuples(inner, operators, number).map(lambda it: f"({it[0]}) {it[1]} {it[2]}"),
            st.tuples(inner, operators, modifier, left, inner).map(
                lambda it: f"({it[0]}) {it[1]}{it[2]}{it[3] if it[2] else ''} ({it[4]})"
            ),
            st.tuples(inner, st.sampled_from(["and", "or", "unless"]), modifier, inner).map(
                lambda it: f"({it[0]}) {it[1]}{it[2]} ({it[3]})"
            ),
            st.tuples(inner, st.sampled_from(["avg_over_time", "rate", "count_over_time"])).map(
                lambda it: f"{it[1]}(({it[0]})[20s:3s])"
            ),
            inner.map(lambda it: f'label_replace({it}, "role", "$1", "node", "n(.)")'),
        )

    return st.recursive(leaves, larger, max_leaves=4)


@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(query=vectors())
def test_a_random_query_has_prometheus_values_or_its_refusal(data, prometheus, query):
    assert_equal(data, prometheus, query, step_ms=17_300)
