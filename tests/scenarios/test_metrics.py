"""What every metric family keeps to, and what the folds of the market count."""

from __future__ import annotations

import re

import numpy as np
import pytest

from netem.clock import S
from netem.metric import DASHBOARDS
from netem.series import Bins
from node.events import DownloadFinished, DownloadStarted, DownloadStopped, PieceAccepted, ServerBanned
from scenarios.claims import assumed, compare, unjudged
from scenarios.market.events import Arrival
from scenarios.metrics import families
from scenarios.metrics.claims import Claims
from scenarios.metrics.nodes import MOST_NODES, Nodes
from scenarios.metrics.requests import Requests
from tracker.events import BoardPosted, DownloadSettled, EquivocationSeen, FeeHeld, NodeJoined, NodeLeft
from tracker.metrics.odds import MOST_FILES

FAMILIES = families()
METRICS = [metric for family in FAMILIES.values() for metric in family.metrics]
PANELS = [panel for family in FAMILIES.values() for panel in family.panels]
UNITS = ("_seconds", "_bytes", "_ratio", "_microcredits")
IDS = {"peer", "piece", "message", "download", "run"}  # as labels they would make a series each
A, B, C = b"a" * 8, b"b" * 8, b"c" * 8


def test_the_families_are_there():
    assert {"bank", "claims", "datagrams", "downloads", "faults", "fees", "nodes", "odds", "testbed"} <= FAMILIES.keys()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_in_a_file_of_its_own_and_fills_only_its_metrics(name):
    kind = FAMILIES[name]
    assert kind.__module__.rsplit(".", 1)[1] in {name, f"{name}s"}
    family = kind()
    assert list(family.series) == [metric.name for metric in kind.metrics]
    assert family.folds() or type(family).gather is not FAMILIES["faults"].gather or name == "claims"
    assert not list(family.gather(0)) or family.source is None


def test_names_are_unique():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    titles = [(panel.dashboard, panel.title) for panel in PANELS]
    assert len(set(titles)) == len(titles)
    orders = [(panel.dashboard, panel.order) for panel in PANELS]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_wants_it(metric):
    assert re.fullmatch(r"swarmbed(_[a-z0-9]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ns|ms|us|s|percent|count|sum|bucket|credits)(_|$)", metric.name)
    assert metric.help.endswith(".")
    if metric.kind == "histogram":
        assert not metric.labels
        assert list(metric.edges) == sorted(set(metric.edges))
        assert metric.name.endswith(UNITS)
    for label in metric.labels:
        assert label.name not in IDS
        assert 0 < label.bound <= MOST_NODES
        assert bool(label.values) != bool(label.most)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_says_what_a_healthy_run_shows(panel):
    assert panel.dashboard in DASHBOARDS
    assert panel.description.endswith(".")
    assert panel.unit
    assert panel.queries
    assert not panel.queries[0].theory  # the measurement comes first
    assert 0 < panel.width <= 24


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_every_dashboard_shows_theory_beside_measurement(dashboard):
    drawn = [panel for panel in PANELS if panel.dashboard == dashboard]
    assert any(query.theory for panel in drawn for query in panel.queries)


def made(name, events):
    family = FAMILIES[name]()
    folds = family.folds()
    for time_s, event in events:
        folds[type(event)](round(time_s * S), event)
    return family


def test_downloads_are_counted_from_start_to_end():
    family = made(
        "downloads",
        [
            (1, DownloadStarted(A, b"1", 0, 2)),
            (1, DownloadStarted(A, b"2", 1, 2)),
            (2, PieceAccepted(A, b"1", 0, 0, [(B, 1000), (C, 1049)])),
            (4, DownloadFinished(A, b"1", 0, b"", 5, 2)),
            (4, DownloadStarted(B, b"3", 1, 2)),
            (5, DownloadStopped(A, b"2", 1, "stopped", 0)),
            (6, DownloadStopped(A, b"2", 1, "stopped", 0)),
            (6, ServerBanned(A, b"2", C, 0)),
        ],
    )
    assert family.value("swarmbed_downloads_started_total", "market") == 3
    assert family.value("swarmbed_downloads_under_way", "market") == 1
    assert family.value("swarmbed_downloads_ended_total", "market", "finished") == 1
    assert family.value("swarmbed_downloads_ended_total", "market", "stopped") == 1
    assert family.value("swarmbed_delivered_bytes_total", "market") == 2049
    assert family.value("swarmbed_delivered_blocks_total", "market") == 3  # the last one is short
    assert family.value("swarmbed_wasted_blocks_total", "market") == 2
    assert family.value("swarmbed_servers_banned_total") == 1
    took = family.series["swarmbed_download_duration_seconds"]
    assert isinstance(took, Bins)
    assert took.values[-2:] == [1, 3.0]


def test_fees_are_payouts_and_refunds():
    family = made(
        "fees",
        [
            (1, FeeHeld(b"1", 0, A, 100)),
            (2, FeeHeld(b"2", 0, B, 50)),
            (3, DownloadSettled(b"1", "close", [(B, 60), (C, 30)], 10)),
            (4, DownloadSettled(b"2", "expiry", [], 50)),
            (4, EquivocationSeen(A, "two closes")),
        ],
    )
    paid, back = (family.value(f"swarmbed_{what}_microcredits_total", "market") for what in ("payouts", "refunds"))
    assert (paid, back, paid + back) == (90, 60, family.value("swarmbed_fees_held_microcredits_total", "market"))
    assert family.value("swarmbed_settlements_total", "market", "expiry") == 1
    assert family.value("swarmbed_equivocations_total") == 1


def test_the_board_is_shown_for_the_first_files():
    many = MOST_FILES + 5
    family = made("odds", [(7, BoardPosted(3, [1 / many] * many, [0.5] * many, 9))])
    assert family.series["swarmbed_odds_ratio"].values == [1 / many] * MOST_FILES
    assert family.value("swarmbed_delivered_share_ratio", "0") == 0.5
    assert family.value("swarmbed_bidding_servers") == 9
    assert family.value("swarmbed_board_posted_timestamp_seconds") == 7


class FakeBed:
    """What the families read of a bed."""

    def __init__(self, peers=(), **facts):
        self.peers, self.facts = peers, facts


class FakePeer:
    """A peer of no role."""

    def __init__(self, node):
        self.node = node


class FakeRogue(FakePeer):
    """A peer whose class names its role."""

    name = "rogue"


def test_requests_stand_beside_the_shares_they_are_drawn_from():
    family = made("requests", [(1, Arrival(0, A)), (2, Arrival(0, b"")), (3, Arrival(MOST_FILES, B))])
    assert isinstance(family, Requests)
    list(family.gather(0))
    assert family.series["swarmbed_request_share_predicted_ratio"].values == []
    family.attach("bed", FakeBed(popularity=np.array([0.75, 0.25])))
    list(family.gather(0))
    assert family.series["swarmbed_request_share_predicted_ratio"].values == [0.75, 0.25]
    assert family.series["swarmbed_requests_total"].values == [2]


def test_nodes_are_counted_by_role_and_each_has_a_series_while_they_are_few():
    family = made(
        "nodes",
        [
            *((0, NodeJoined(node, 1)) for node in (A, B, C)),
            (1, NodeJoined(A, 2)),
            (1, NodeLeft(C, "leave")),
            (2, PieceAccepted(A, b"1", 0, 0, [(B, 70), (C, 30)])),
        ],
    )
    assert isinstance(family, Nodes)
    family.attach("bed", FakeBed([FakePeer(A), FakePeer(B), FakeRogue(C)]))
    list(family.gather(0))
    assert family.value("swarmbed_nodes_joined") == 2
    assert (family.value("swarmbed_nodes", "peer"), family.value("swarmbed_nodes", "rogue")) == (2, 1)
    assert family.value("swarmbed_node_fetched_bytes_total", "node-0", "peer") == 100
    assert family.value("swarmbed_node_served_bytes_total", "node-1", "peer") == 70
    assert family.value("swarmbed_node_served_bytes_total", "node-2", "rogue") == 30


def test_a_run_with_many_nodes_has_no_series_by_node():
    family = Nodes()
    family.attach("bed", FakeBed([FakePeer(A)] * (MOST_NODES + 1)))
    list(family.gather(0))
    assert family.value("swarmbed_nodes", "peer") == MOST_NODES + 1
    assert family.series["swarmbed_node_served_bytes_total"].values == []


def test_claims_have_theory_measurement_and_verdict_and_the_next_judgement_replaces_them():
    family = Claims()
    family.judged([unjudged("early", "nothing yet", "x")])
    family.judged(
        [
            compare("good", predicted=1.0, measured=1.25, tolerance=0.5, source="x"),
            compare("bad", predicted=1.0, measured=2.0, tolerance=0.5, source="x"),
            assumed("off", "switched off", "x"),
        ]
    )
    assert [family.value("swarmbed_claim_ok", name) for name in ("good", "bad")] == [1, 0]
    assert family.value("swarmbed_claim_predicted", "bad") == 1.0
    assert family.value("swarmbed_claim_measured", "bad") == 2.0
    assert [dict(labels)["claim"] for _, labels in family.series["swarmbed_claim_ok"].keys] == ["good", "bad"]
