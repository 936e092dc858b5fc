"""Whole runs under attack: each role alone leaves the honest their goodput and gains nothing, and each defence, broken, is missed."""

import math

import pytest

from node.roles.byzantine import byzantine_names, byzantine_role
from node.swarm import Swarm
from node.tabs import Tab
from node.uploader import Uploader
from scenarios.market.hostile_bounds import UNPAID_NAME
from tests.scenarios.whole_runs import assert_every_claim_holds, assert_every_claim_holds_in_real_time, not_held, play
from tracker.replay import ReplayWindow
from tracker.settlement import ReceiptBook

pytestmark = pytest.mark.slow

SMALL = {"nodes": 8, "duration_s": 60.0, "upload_bytes_per_s": 250_000.0, "delay_s": 0.01}


def test_all_attacks_at_once_leave_every_claim_standing(tmp_path):
    assert_every_claim_holds(play("hostile", tmp_path / "run"))


@pytest.mark.parametrize("name", byzantine_names())
def test_each_attack_alone_leaves_every_claim_standing(tmp_path, name):
    assert not_held(play("hostile", tmp_path / "run", attack=name, **SMALL)) == []


def every_receipt_counts_again(self, receipt):
    known = self._downloads.setdefault(receipt.download, {})
    total_bytes = known.get(receipt.server, (0, 0, b""))[0] + receipt.total_bytes
    known[receipt.server] = (total_bytes, receipt.count, receipt.root)
    return receipt.total_bytes


def nothing(*_arguments, **_options):
    return None


SLOW_TO_SHOW = (
    "equivocate_receipts",
    "overclaim_bandwidth",
    "reuse_orders",
)  # a rate's memory is long, and receipts are refused only in time
NEVER = property(lambda _self: False)
# By role: what to break, and the claim that must miss it.
BROKEN = {
    "forge_odds": ([("tracker.wire.prove_signature", nothing)], "boards believed beyond those posted"),
    "replay_receipts": (
        [(ReplayWindow, "accept", lambda _self, _seq: True), (ReceiptBook, "add", every_receipt_counts_again)],
        "replay_receipts: credits beyond its deliveries (µcr)",
    ),
    "equivocate_receipts": ([(Tab, "exhausted", NEVER), (Tab, "late", NEVER)], UNPAID_NAME),
    "flood_requests": ([(Tab, "exhausted", NEVER), (Tab, "late", NEVER)], UNPAID_NAME),
    "refuse_receipts": ([(Tab, "exhausted", NEVER), (Tab, "late", NEVER)], UNPAID_NAME),
    "reuse_orders": ([(Uploader, "on_bounced", nothing)], UNPAID_NAME),
    "overclaim_bandwidth": ([("tracker.odds.LEAST_BUSY", 0.005)], "an attacker's proven rate / its upload"),
    "wrong_pieces": ([(Swarm, "_ban", nothing)], "wrong_pieces: credits beyond its deliveries (µcr)"),
    "huge_frame": ([("tracker.doors.JOIN_BYTES", 2**20)], "bytes kept for them"),
    "slow_loris": (
        [("tracker.doors.JOIN_S", math.inf), ("tracker.doors.FRAME_S", math.inf)],
        "connections without a join",
    ),
}


def test_a_broken_defence_is_tried_for_every_role():
    """What those who collude gain is judged by the scenario `coalition`, and its claims are broken there."""
    assert sorted(BROKEN) == [name for name in byzantine_names() if not byzantine_role(name).colludes]


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_each_claim_fails_when_the_defence_it_guards_is_broken(tmp_path, monkeypatch, name):
    patches, claim = BROKEN[name]
    for patch in patches:
        monkeypatch.setattr(*patch)
    duration_s = 120.0 if name in SLOW_TO_SHOW else SMALL["duration_s"]
    assert claim in not_held(play("hostile", tmp_path / "run", attack=name, **{**SMALL, "duration_s": duration_s}))


def test_the_attacks_change_nothing_on_real_sockets_either(tmp_path):
    assert_every_claim_holds_in_real_time(play("hostile", tmp_path / "run", time="real"))
