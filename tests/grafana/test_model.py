"""The committed dashboards: fresh, free of lint, and asking only for metrics and labels that there are."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from grafana.model import COLUMNS, dashboards, laid_out
from netem.faults import KINDS
from netem.metric import DASHBOARDS, Panel, Query
from scenarios.exposition import Exposition
from scenarios.metrics import families
from scenarios.promql.queries import evaluate_range
from scenarios.promql.store import SampleStore

FOLDER = Path(__file__).resolve().parents[2] / "grafana"
BOARDS = {name: json.loads((FOLDER / "dashboards" / f"{name}.json").read_text(encoding="utf-8")) for name in DASHBOARDS}
LOOKS = {"timeseries", "stat", "table"}  # what the live page draws
SCRAPED = {"instance", "job"}  # what Prometheus adds to every series


def catalogue():
    """Return the labels of every sample there can be, by its name."""
    known = {}
    exposition = Exposition(families(), info={"run": "", "scenario": "", "seed": "", "time": ""}, now_ns=lambda: 0)
    for family in exposition.families.values():
        for metric in family.metrics:
            labels = {label.name for label in metric.labels}
            if metric.kind == "histogram":
                known |= {metric.name + "_bucket": {"le"}, metric.name + "_sum": set(), metric.name + "_count": set()}
            else:
                known[metric.name] = labels
    for exposed in exposition._stock.collect():
        for sample in exposed.samples:
            known.setdefault(sample.name, set()).update(sample.labels)
    return known


KNOWN = catalogue()


def substituted(expr):
    for macro, value in (("$__rate_interval", "4s"), ("$__range", "60s"), ("$__interval", "1s")):
        expr = expr.replace(macro, value)
    return re.sub(r"\$\w+", ".*", expr)


def nodes(expr, kind):
    found = []
    promql_parser.walk(
        promql_parser.parse(substituted(expr)),
        lambda node: found.append(node) if isinstance(node, kind) else None,
    )
    return found


def unknown(expr):
    """Return what a query asks for that there is not: metrics, or labels of theirs."""
    wrong = []
    labels = set()
    for selector in nodes(expr, promql_parser.VectorSelector):
        if selector.name not in KNOWN:
            wrong.append(selector.name)
            continue
        labels |= KNOWN[selector.name]
        asked = {matcher.name for matcher in selector.matchers.matchers}
        wrong += [f"{selector.name}.{name}" for name in sorted(asked - KNOWN[selector.name] - SCRAPED)]
    for aggregate in nodes(expr, promql_parser.AggregateExpr):
        if aggregate.modifier is not None:
            wrong += sorted(set(aggregate.modifier.labels) - labels - SCRAPED)
    return wrong


def targets():
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield pytest.param(panel, target, id=f"{name}: {panel['title']} {target['refId']}")
        for mark in board["annotations"]["list"]:
            yield pytest.param({"title": "marks"}, mark, id=f"{name}: marks")


def test_the_committed_dashboards_are_those_of_the_panels():
    made = dashboards()
    assert sorted(path.stem for path in (FOLDER / "dashboards").iterdir()) == sorted(made)
    for name, text in made.items():
        assert (FOLDER / "dashboards" / f"{name}.json").read_text(encoding="utf-8") == text, "run `python -m grafana`"


def test_every_kind_of_fault_is_explained_where_faults_are_counted():
    (panel,) = (panel for panel in BOARDS["network"]["panels"] if panel["title"] == "Faults made")
    assert len(KINDS) == 16
    for kind in KINDS:
        assert f" {kind}: " in panel["description"]


def test_dashboards_have_addresses_of_their_own():
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"swarmbed-[a-z]{1,30}", uid) for uid in uids)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_dashboard_refreshes_marks_faults_and_links_to_the_others(board):
    assert board["refresh"] == "5s"
    assert board["schemaVersion"] == 41
    assert [mark["name"] for mark in board["annotations"]["list"]] == ["Faults"]
    assert board["annotations"]["list"][0]["useValueForTime"] is True
    assert board["links"][0]["includeVars"]
    assert board["links"][0]["keepTime"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_variable_used_is_declared_and_each_asks_for_labels_there_are(board):
    declared = [variable["name"] for variable in board["templating"]["list"]]
    assert {"datasource", "run", "role", "system"} <= set(declared)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"__rate_interval", "__range", "__interval"}
    assert used <= set(declared)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert not unknown(asked[1])
            assert asked[2] in KNOWN[re.match(r"\w+", asked[1])[0]] | SCRAPED
    # An address stands for its run: "all" must be the addresses of the chosen runs, not any.
    assert "allValue" not in next(v for v in board["templating"]["list"] if v["name"] == "instance")


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_say_what_they_are_and_do_not_overlap(board):
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    cells = set()
    for panel in board["panels"]:
        assert panel["type"] in LOOKS
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        place = panel["gridPos"]
        mine = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert max(x for x, _ in mine) < COLUMNS
        assert not mine & cells
        cells |= mine


@pytest.mark.parametrize(("panel", "target"), list(targets()))
def test_a_query_asks_only_for_what_there_is(panel, target):
    assert unknown(target["expr"]) == []
    assert all(
        any(matcher.name == "instance" for matcher in selector.matchers.matchers)
        for selector in nodes(target["expr"], promql_parser.VectorSelector)
    )
    asked = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
    assert asked <= {label for name in KNOWN if name in target["expr"] for label in KNOWN[name]}


@pytest.mark.parametrize(("panel", "target"), list(targets()))
def test_a_query_is_one_that_the_built_in_evaluator_takes(panel, target):
    evaluate_range(SampleStore(), substituted(target["expr"]), start_ms=0, end_ms=10_000, step_ms=1_000)


@pytest.mark.parametrize(
    "expr",
    [
        "swarmbed_netem_packet_total",
        'swarmbed_netem_datagrams_total{fat="loss"}',
        "sum by (kind) (rate(swarmbed_netem_datagrams_total[$__rate_interval]))",
        "histogram_quantile(0.9, swarmbed_event_loop_lag_seconds)",
    ],
)
def test_a_slip_in_a_query_is_found(expr):
    assert unknown(expr)


def test_panels_flow_into_rows():
    def panel(width, height):
        query = Query(expr="x{@}", legend="x")
        return Panel(
            dashboard="bank", order=0, title="", description="", unit="", queries=(query,), width=width, height=height
        )

    places = [
        (place.x, place.y)
        for _, place in laid_out([panel(12, 8), panel(6, 4), panel(12, 4), panel(12, 4), panel(1, 1)])
    ]
    assert places == [(0, 0), (12, 0), (0, 8), (12, 8), (0, 12)]


def test_theory_is_dashed():
    for board in BOARDS.values():
        for panel in board["panels"]:
            dashed = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
            if panel["type"] == "timeseries":
                legends = {target["refId"]: target["legendFormat"] for target in panel["targets"]}
                assert {legends[ref] for ref in dashed}.isdisjoint({"realised", "measured: {{claim}}", "π {{file}}"})
    odds = next(panel for panel in BOARDS["market"]["panels"] if "π_j against" in panel["title"])
    assert [override["matcher"]["options"] for override in odds["fieldConfig"]["overrides"]] == ["B"]


def test_promtool_accepts_the_configuration(promtool):
    checked = subprocess.run(
        [promtool, "check", "config", FOLDER / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_docker_mounts_is_there_and_the_ports_agree():
    compose = yaml.safe_load((FOLDER / "compose.yml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        assert re.search(r":\S*\d", service["image"])  # a version, not what is newest today
        for volume in service["volumes"]:
            source, target, mode = volume.split(":")
            assert (FOLDER / source).exists()
            assert (target[0], mode) == ("/", "ro")
    source = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))
    provider = yaml.safe_load((FOLDER / "provisioning/dashboards/swarmbed.yml").read_text(encoding="utf-8"))
    scrape = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    grafana, prometheus = compose["services"]["grafana"], compose["services"]["prometheus"]
    assert source["datasources"][0]["url"].removeprefix("http://") in " ".join(prometheus["command"])
    assert source["datasources"][0]["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
    assert any(volume.split(":")[1] == provider["providers"][0]["options"]["path"] for volume in grafana["volumes"])
