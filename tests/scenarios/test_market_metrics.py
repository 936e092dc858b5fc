"""What the market's panels show: bids, income, waiting, staleness and the free-rider account, each beside its theory."""

from __future__ import annotations

import numpy as np
import pytest

from netem.clock import S
from node.events import DownloadFinished, DownloadStarted, DownloadStopped, PieceAccepted
from node.swarm import MAX_SERVERS
from scenarios.market.crowd import CrowdParams
from scenarios.market.events import Arrival
from scenarios.metrics import families
from scenarios.metrics.bids import MOST_BIDDERS
from scenarios.metrics.nodes import MOST_NODES
from scenarios.metrics.staleness import boards_lost
from scenarios.metrics.waits import RANKS, rank_of
from scenarios.prices import Prices
from tracker.events import BoardPosted, DownloadSettled, FeeHeld, FilePublished

FAMILIES = families()
A, B, C = b"a" * 8, b"b" * 8, b"c" * 8
PARAMS = CrowdParams(loss=0.1, upload_bytes_per_s=1e5)


class FakePeer:
    """A peer that has some board, if any."""

    def __init__(self, node, board=None):
        self.node = node
        if board is not None:
            self.board = board


class FakeMarket:
    """The bids of the last board: by server its rate and its split."""

    def __init__(self, *, holders=2, **bids):
        self._bids = bids
        self._holders = holders
        self.catalogue = self

    def bids(self):
        for node, (rate, split) in self._bids.items():
            yield node.encode() * 8, rate, split

    def servers(self, _index):
        return [bytes([number]) * 8 for number in range(self._holders)]


class FakeBed:
    """What the families read of a bed."""

    def __init__(self, peers, market=None, params=PARAMS, **facts):
        self.peers, self.facts, self.params = peers, facts, params
        self.tracker = self
        self.market = market or FakeMarket()


def made(name, bed, *events):
    """Return a family that has read a bed, then folded events, then read the bed again."""
    family = FAMILIES[name]()
    family.attach("bed", bed)
    list(family.gather(0))
    folds = family.folds()
    for time_s, event in events:
        folds[type(event)](round(time_s * S), event)
    list(family.gather(0))
    return family


THREE = [FakePeer(A), FakePeer(B), FakePeer(C)]


def test_bids_are_rates_and_splits_beside_what_an_upload_allows():
    market = FakeMarket(b=(5e4, {0: 0.25, 2: 0.75}), a=(8e4, {0: 1.0}))
    family = made("bids", FakeBed(THREE, market))
    assert [family.value("swarmbed_proven_bytes_per_second", f"node-{n}") for n in range(3)] == [8e4, 5e4, 0]
    assert [family.value("swarmbed_bid_ratio", "node-1", str(file)) for file in range(3)] == [0.25, 0, 0.75]
    assert family.value("swarmbed_bid_ratio", "node-0", "2") == 0
    theory = family.value("swarmbed_proven_predicted_bytes_per_second")
    assert theory == PARAMS.goodput_bytes_per_s()
    assert 0.7e5 < theory < 0.9e5


def test_who_bids_no_more_is_at_zero():
    bed = FakeBed(THREE, FakeMarket(a=(8e4, {0: 0.5, 1: 0.5}), b=(8e4, {0: 1.0})))
    family = made("bids", bed)
    bed.market = FakeMarket(b=(8e4, {0: 0.5, 1: 0.5}))
    list(family.gather(0))
    assert family.value("swarmbed_proven_bytes_per_second", "node-0") == 0
    assert [family.value("swarmbed_bid_ratio", "node-0", str(file)) for file in range(2)] == [0, 0]


def test_only_the_first_bidders_show_their_split_and_large_runs_nobody():
    many = [FakePeer(bytes([number]) * 8) for number in range(MOST_BIDDERS + 3)]
    bids = FakeMarket()
    bids.bids = lambda: ((peer.node, 1e5, {0: 1.0}) for peer in many)
    family = made("bids", FakeBed(many, bids))
    assert len(family.series["swarmbed_bid_ratio"].values) == MOST_BIDDERS
    assert len(family.series["swarmbed_proven_bytes_per_second"].values) == MOST_BIDDERS + 3
    crowd = FakeBed([FakePeer(A)] * (MOST_NODES + 1), FakeMarket(a=(1e5, {0: 1.0})))
    for name in ("bids", "incomes"):
        assert not any(series.values for series in made(name, crowd).series.values())


DEAL = [
    (1, FilePublished(0, "f", 1000, b"", A)),
    (2, FeeHeld(b"1", 0, C, 500)),
    (3, PieceAccepted(C, b"1", 0, 0, [(A, 400), (B, 400)])),
]


def test_income_stands_beside_the_share_of_the_bids_in_what_was_accepted():
    market = FakeMarket(a=(6e4, {0: 0.5, 1: 0.5}), b=(1e5, {0: 0.1}))  # 30,000 and 10,000 bytes/s on the file
    settled = DownloadSettled(b"1", "close", [(A, 200), (B, 200)], 100)
    family = made("incomes", FakeBed(THREE, market), *DEAL, (5, settled))
    earned, due = (
        [family.value(f"swarmbed_node_earned_{what}microcredits_total", f"node-{n}") for n in range(3)]
        for what in ("", "predicted_")
    )
    assert earned == [200, 200, 0]
    assert due == pytest.approx([300, 100, 0])


def test_an_unknown_download_and_an_empty_file_cost_nothing():
    prices = Prices()
    prices.publish(FilePublished(0, "empty", 0, b"", A))
    prices.hold(FeeHeld(b"1", 0, C, 500))
    assert (prices.credits(b"1", 7), prices.credits(b"?", 7)) == (0, 0)
    assert prices.settle(DownloadSettled(b"1", "close", [], 500)) == C
    assert prices.settle(DownloadSettled(b"1", "close", [], 500)) == b""


def test_free_riders_are_those_that_have_served_nothing_and_pay_as_all_do():
    settled = DownloadSettled(b"1", "close", [(A, 200), (B, 200)], 100)
    bed = FakeBed(THREE)
    family = made("traders", bed, *DEAL)

    def account(trader):
        names = ("s", "_fetched_bytes", "_paid_microcredits", "_due_microcredits", "_earned_microcredits")
        return [family.value(f"swarmbed_trader{name}", trader) for name in names]

    assert account("serves nothing") == [1, 800, 0, 0, 0]  # nothing is settled yet
    family.folds()[DownloadSettled](5 * S, settled)
    list(family.gather(0))
    assert account("serves nothing") == [1, 800, 400, pytest.approx(400), 0]
    assert account("serves") == [2, 0, 0, 0, 400]


def test_one_who_pays_less_than_the_fee_for_what_it_got_shows():
    family = made("traders", FakeBed(THREE), *DEAL, (5, DownloadSettled(b"1", "expiry", [(A, 100)], 400)))
    paid, due = (family.value(f"swarmbed_trader_{what}_microcredits", "serves nothing") for what in ("paid", "due"))
    assert paid / due == pytest.approx(0.25)


def test_waiting_runs_from_the_request_to_the_file_by_rank_beside_a_file_alone():
    market = FakeMarket(a=(1.0, {0: 1.0}), b=(1.0, {0: 1.0}))
    bed = FakeBed(THREE, market, popularity=np.array([0.2, 0.5, 0.3]))
    family = made(
        "waits",
        bed,
        (0, FilePublished(1, "f", 10**6, b"", A)),
        (1, Arrival(1, C)),
        (1, Arrival(1, b"")),  # nobody lacks it
        (2, DownloadStarted(C, b"1", 1, 2)),
        (9, DownloadFinished(C, b"1", 1, b"", 4, 0)),
        (9, Arrival(0, B)),
        (10, DownloadStopped(B, b"2", 0, "stopped", 0)),
        (11, DownloadStarted(B, b"3", 0, 2)),  # again, and nobody said that it was asked for
        (13, DownloadFinished(B, b"3", 0, b"", 4, 0)),
    )
    totals = {
        rank: [family.value(f"swarmbed_ranked_{what}_total", rank) for what in ("downloads", "waiting_seconds")]
        for rank in RANKS[:3]
    }
    assert totals == {"01": [1, 8.0], "02": [0, 0], "03-04": [1, 2.0]}
    alone = family.value("swarmbed_ranked_waiting_predicted_seconds_total", "01")
    assert alone == pytest.approx(10**6 / (0.5 * 2 * PARAMS.goodput_bytes_per_s()))


def test_when_requests_shift_ranks_do():
    bed = FakeBed(THREE, FakeMarket(a=(1.0, {0: 1.0})), popularity=np.array([0.8, 0.2]))
    family = made("waits", bed)
    bed.facts["popularity"] = np.array([0.2, 0.8])
    list(family.gather(0))
    folds = family.folds()
    folds[Arrival](S, Arrival(0, C))
    folds[DownloadFinished](3 * S, DownloadFinished(C, b"1", 0, b"", 4, 0))
    assert family.value("swarmbed_ranked_waiting_seconds_total", "02") == 2.0


@pytest.mark.parametrize(("holders", "at_once"), [(MAX_SERVERS, 60), (3 * MAX_SERVERS, 20)])
def test_at_most_so_many_of_those_who_hold_a_file_work_on_it(holders, at_once):
    market = FakeMarket(holders=holders)
    market.bids = lambda: ((bytes([number]) * 8, 1.0, {0: 1.0}) for number in range(60))
    bed = FakeBed(THREE, market, popularity=np.array([1.0]))
    events = [
        (0, FilePublished(0, "f", 10**6, b"", A)),
        (1, DownloadStarted(C, b"1", 0, 2)),
        (9, DownloadFinished(C, b"1", 0, b"", 4, 0)),
    ]
    alone = made("waits", bed, *events).value("swarmbed_ranked_waiting_predicted_seconds_total", "01")
    assert alone == pytest.approx(10**6 / (at_once * PARAMS.goodput_bytes_per_s()))


def test_ranks_are_classes_by_halves():
    found = [rank_of(place - 1) for place in (1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 10**6)]
    assert found == ["01", "02", *(rank for rank in RANKS[2:7] for _ in range(2)), "65 on", "65 on"]


def test_staleness_is_what_nodes_lack_when_the_next_board_is_posted():
    peers = [FakePeer(A, 7), FakePeer(B, 4), FakePeer(C), FakePeer(C, -1)]  # two have heard of none
    family = made(
        "staleness", FakeBed(peers), (1, BoardPosted(7, [0.5] * 200, [], 2)), (2, BoardPosted(8, [0.5] * 200, [], 2))
    )
    assert family.value("swarmbed_boards_behind") == 1.5
    assert family.value("swarmbed_boards_behind_worst") == 3
    assert family.value("swarmbed_boards_behind_predicted") == boards_lost(0.1, pages=2)


@pytest.mark.parametrize(("loss", "pages"), [(0.0, 1), (0.05, 1), (0.3, 1), (0.3, 3), (0.9, 2)])
def test_the_mean_number_of_lost_boards_is_that_of_drawn_losses(loss, pages):
    lost = np.random.Generator(np.random.PCG64(1)).geometric(1 - loss, (20_000, pages)).max(axis=1) - 1
    error = max(lost.std(), 1e-9) / len(lost) ** 0.5
    assert abs(boards_lost(loss, pages=pages) - lost.mean()) <= 4 * error
