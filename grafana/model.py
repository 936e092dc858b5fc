"""Pure: Grafana's dashboards, made of the panels that live beside each metric, with Grafana's own typed model.

Panels flow from left to right in their order. An id is made of the panel's title, so that it stays when others come.

Source: DESIGN section 5; the model is that of Grafana 11.6.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from netem.metric import DASHBOARDS, HERE, Panel, Query
from scenarios.metrics import families

COLUMNS = 24
TITLES = {
    "overview": "Overview",
    "network": "Network: fidelity first",
    "market": "Market",
    "bank": "Bank",
    "health": "Testbed health",
}
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
FAULT_TIME = "swarmbed_fault_timestamp_seconds"
_AnyPanel = timeseries.Panel | stat.Panel | table.Panel
_GOOD, _BAD = "green", "red"


class FaultMarks(model.AnnotationQuery):
    """The query of the marks at faults, with what Grafana's Prometheus source reads beside the model's fields."""

    def to_json(self) -> dict[str, object]:
        """Return the fields; the value is the time in ms at which a mark stands."""
        return super().to_json() | {
            "useValueForTime": True,
            "titleFormat": "{{kind}}",
            "tagKeys": "kind",
            "step": "1s",
        }


def dashboards() -> dict[str, str]:
    """Return every dashboard as JSON text, by its name."""
    return {name: json.dumps(_dashboard(name), cls=JSONEncoder, indent=1) + "\n" for name in DASHBOARDS}


def panels(dashboard: str) -> list[Panel]:
    """Return a dashboard's panels in their order."""
    found = [panel for family in families().values() for panel in family.panels if panel.dashboard == dashboard]
    return sorted(found, key=lambda panel: panel.order)


def _dashboard(name: str) -> model.Dashboard:
    board = (
        build.Dashboard(f"swarmbed / {TITLES[name]}")
        .uid(f"swarmbed-{name}")
        .description("Made by `python -m grafana` from the panels beside each metric; edit them there.")
        .tags(["swarmbed"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("swarmbed")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["swarmbed"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in _variables():
        board = board.with_variable(variable)
    for panel, place in laid_out(panels(name)):
        board = board.with_panel(_drawn(panel).grid_pos(place))
    built = board.build()
    mark = FaultMarks(
        name="Faults", datasource=SOURCE, icon_color="orange", built_in=None, expr=f"{FAULT_TIME}{{{HERE}}} * 1000"
    )
    built.annotations = model.AnnotationContainer(list_val=[mark])
    return built


def _variables() -> Iterator[build.QueryVariable | build.DatasourceVariable]:
    yield build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    yield _variable("run", "label_values(swarmbed_run_info, run)").label("Run")
    # Series have no label for the run: where they were scraped tells it, so this one becomes the runs' addresses.
    instance = _variable("instance", 'label_values(swarmbed_run_info{run=~"$run"}, instance)', all_value=None)
    yield instance.hide(model.VariableHide.HIDE_VARIABLE)
    yield _variable("role", f"label_values(swarmbed_nodes{{{HERE}}}, role)").label("Node role")
    yield _variable("system", f"label_values(swarmbed_downloads_started_total{{{HERE}}}, system)").label("System")
    yield (
        _variable("claim", f"label_values(swarmbed_claim_tolerance{{{HERE}}}, claim)").label("Claim").include_all(False)
    )


def _variable(name: str, query: str, *, all_value: str | None = ".*") -> build.QueryVariable:
    """Return a variable of which any number of values may be chosen; without `all_value`, "all" are those there are."""
    variable = (
        build.QueryVariable(name)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
    )
    return variable if all_value is None else variable.all_value(all_value)


def laid_out(panels: Iterable[Panel]) -> Iterator[tuple[Panel, model.GridPos]]:
    """Yield panels with their places: from left to right, and on below the highest of the row."""
    x = y = row_height = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        yield panel, model.GridPos(x=x, y=y, w=panel.width, h=panel.height)
        x, row_height = x + panel.width, max(row_height, panel.height)


def _drawn(panel: Panel) -> _AnyPanel:
    drawn: _AnyPanel
    match panel.look:
        case "timeseries":
            drawn = _lines(panel)
        case "stat":
            drawn = _numbers(panel)
        case "table":
            drawn = _table(panel)
    drawn = drawn.title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE).interval("1s")
    drawn = drawn.id(zlib.crc32(panel.title.encode()) % 1_000_000).thresholds(_thresholds(panel))
    for number, query in enumerate(panel.queries):
        drawn = drawn.with_target(_target(query, ref=chr(ord("A") + number), as_table=panel.look == "table"))
    return drawn


def _target(query: Query, *, ref: str, as_table: bool) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.promql).legend_format(query.legend).ref_id(ref).datasource(SOURCE)
    return target.instant().format(PromQueryFormat.TABLE) if as_table else target.range()


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .line_width(2)
        .show_points(common.VisibilityMode.NEVER)
        .legend(common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))
    )
    for number, query in enumerate(panel.queries):
        if query.theory:
            dash = {"fill": "dash", "dash": [8, 6]}
            drawn = drawn.override_by_query(
                chr(ord("A") + number), [model.DynamicConfigValue(id_val="custom.lineStyle", value=dash)]
            )
    return drawn


def _numbers(panel: Panel) -> stat.Panel:
    several = len(panel.queries) > 1 or "{{" in panel.queries[0].legend
    return (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME if several else common.BigValueTextMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _table(panel: Panel) -> table.Panel:
    """Draw one row for each value of the queries' labels, one column a query."""
    names = {f"Value #{chr(ord('A') + number)}": query.legend for number, query in enumerate(panel.queries)}
    noise = dict.fromkeys(("Time", "__name__", "instance", "job"), True)
    return (
        table.Panel()
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            model.DataTransformerConfig(id_val="organize", options={"excludeByName": noise, "renameByName": names})
        )
    )


def _thresholds(panel: Panel) -> build.ThresholdsConfig:
    steps = [model.Threshold(value=None, color=_GOOD if panel.bad_below is None else _BAD)]
    if panel.bad_below is not None:
        steps.append(model.Threshold(value=panel.bad_below, color=_GOOD))
    if panel.limit is not None:
        steps.append(model.Threshold(value=panel.limit, color=_BAD))
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
