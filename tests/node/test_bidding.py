"""Bids: rates within the upload, pages of heartbeats, odds that move the split."""

from __future__ import annotations

import numpy as np
import pytest

from node.beliefs.given import Given
from node.bidding import BIDS_PER_HEARTBEAT, CONTROL_RESERVE, Bidding
from node.policies import make_policy
from node.turns import make_turns
from tracker.messages import MAX_FILES
from tracker.odds import pages
from tracker.wire import MAX_DATAGRAM_BYTES, encode_tagged

UPLOAD = 100_000.0


def bidding(policy="fixed", prior=()):
    return Bidding(make_policy(policy), Given(prior), upload_bytes_per_s=UPLOAD)


@pytest.mark.parametrize("held", [[0], [4, 1], range(100)])
def test_the_reserved_rates_are_the_split_of_the_upload_less_the_reserve(held):
    bids = bidding()
    rates = bids.rebid(held)
    assert sum(rates.values()) == pytest.approx(UPLOAD * (1 - CONTROL_RESERVE))
    assert list(rates) == list(bids.split) == sorted(held)


def test_a_node_that_holds_nothing_bids_nothing_and_its_heartbeat_is_empty():
    bids = bidding()
    assert bids.rebid([]) == {}
    (beat,) = bids.heartbeats()
    assert (beat.page, beat.pages, beat.bids) == (0, 1, [])


def test_a_split_over_many_files_takes_several_heartbeats_that_each_fit_a_datagram():
    bids = bidding()
    held = range(MAX_FILES - 2 * BIDS_PER_HEARTBEAT - 1, MAX_FILES)
    bids.rebid(held)
    beats = bids.heartbeats()
    assert [(beat.page, beat.pages, len(beat.bids)) for beat in beats] == [(0, 3, 80), (1, 3, 80), (2, 3, 1)]
    assert dict(bid for beat in beats for bid in beat.bids) == bids.split
    longest = 2**62
    for beat in beats:
        frame = encode_tagged(
            beat, sender=bytes(8), to=bytes(8), epoch=longest, seq=longest, board=longest, key=bytes(32)
        )
        assert len(frame) <= MAX_DATAGRAM_BYTES


def test_odds_below_belief_draw_bandwidth_and_a_file_beyond_the_board_still_counts():
    bids = bidding("proportional_response", [0.5, 0.25, 0.25])
    bids.rebid([0, 1])
    before = dict(bids.split)
    for page in pages(np.array([0.2, 0.8]), np.zeros(2)):
        bids.odds.add(1, page)
    bids.rebid([0, 1, 2])
    assert bids.split[0] / bids.split[1] > 1.5 * before[0] / before[1]
    assert bids.split[2] > 0


def test_a_server_keeps_its_split_until_its_turn_comes_or_its_files_change():
    draws = iter([0.9, 0.0, 0.9, 0.0, 0.1, 0.0, 0.9, 0.0])
    policy = make_policy("price_taker")
    bids = Bidding(
        policy, Given([0.5, 0.5, 0.0]), upload_bytes_per_s=UPLOAD, turns=make_turns("random:0.5"), chance=draws.__next__
    )
    hear(bids, 1, [0.4, 0.6])
    bids.rebid([0, 1])
    assert bids.split == {0: 1.0, 1: 0.0}
    hear(bids, 2, [0.6, 0.4])
    bids.rebid([0, 1])
    assert bids.split == {0: 1.0, 1: 0.0}  # 0.9: not its turn
    bids.rebid([0, 1])
    assert bids.split == {0: 0.0, 1: 1.0}  # 0.1
    bids.rebid([0, 2])
    assert bids.split == {0: 1.0, 2: 0.0}  # 0.9, but it holds another file


def hear(bids, board, shares):
    for page in pages(np.array(shares), np.zeros(len(shares))):
        bids.odds.add(board, page)
