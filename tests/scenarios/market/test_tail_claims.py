"""Claims about the tail hold for a market as it should be, and fail when what they guard is broken."""

import msgspec
import numpy as np
import pytest

from netem.clock import S
from netem.randomness import keyed_generator
from node.events import DownloadFinished, DownloadStarted
from scenarios.claims import Record, Trace
from scenarios.content import Shared
from scenarios.market.crowd import zipf_shares
from scenarios.market.shelves import fill_shelves
from scenarios.market.tail_claims import longshot_claims, share_claims, wait_claims
from scenarios.market.waiting import line_times
from scenarios.scripts.long_tail import Params
from tracker.events import DownloadSettled, FeeHeld

NODE, SERVER = b"n" * 8, b"s" * 8
FILES, SERVERS, SIZE_BYTES, FEE = 60, 10, 50_000, 1_000
P = zipf_shares(FILES, 0.8)
SHELVES = fill_shelves(P, servers=SERVERS, copies=3)
PARAMS = msgspec.structs.replace(Params(), nodes=SERVERS, files=FILES)


def service_s(shares):
    return SIZE_BYTES / (shares * SERVERS * PARAMS.goodput_bytes_per_s())


def record_of(tmp_path, *, shares=P, requests=400, paid=lambda _index: FEE, asked=P):
    """Requests by `asked`, served in lines at the bandwidth `shares` stands for."""
    chance = keyed_generator(1, "requests")
    arrivals = np.cumsum(chance.exponential(0.1, requests))
    indices = chance.choice(FILES, requests, p=asked)
    trace, events = Trace(), []
    for index in range(FILES):
        starts = arrivals[indices == index].tolist()
        took = line_times(starts, [service_s(shares)[index]] * len(starts))
        for number, (start_s, took_s) in enumerate(zip(starts, took, strict=True)):
            name = (index * 10_000 + number).to_bytes(16, "big")
            end_s = start_s + took_s
            events += [
                (start_s, FeeHeld(name, index, NODE, FEE)),
                (start_s, DownloadStarted(NODE, name, index, 3)),
                (end_s, DownloadFinished(NODE, name, index, b"", 0, 0)),
                (end_s, DownloadSettled(name, "close", [(SERVER, paid(index))], FEE - paid(index))),
            ]
    for time_s, event in sorted(events, key=lambda pair: pair[0]):
        trace.fold(round(time_s * S), event)
    facts = {"popularity": P, "files": [Shared(str(index), tmp_path, SIZE_BYTES) for index in range(FILES)]}
    return Record(params=PARAMS, trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})


def longshot(odds, *, off="", boards=30):
    return longshot_claims(P, [list(odds)] * boards, shelves=SHELVES, error=0.1, off=off)


def test_odds_at_the_requests_have_no_bias_and_other_odds_fail_both_claims():
    assert all(claim.ok for claim in longshot(P))
    flat = P**0.9 / (P**0.9).sum()  # long shots overbet
    tail, bias = longshot(flat)
    assert (tail.ok, bias.ok) == (False, False)
    assert tail.measured > 1
    assert bias.measured == pytest.approx(0.1)


def test_the_bandwidth_of_the_tail_is_judged_as_finely_as_its_noise_allows():
    half = FILES // 2
    tolerance = longshot(P)[0].tolerance
    for off, holds in ((0.9, True), (1.1, False)):
        more = np.where(np.arange(FILES) >= half, 1 + off * tolerance, 1.0)
        more[:half] -= off * tolerance * P[half:].sum() / P[:half].sum()
        assert longshot(P * more)[0].ok is holds


def test_without_boards_or_with_other_policies_the_odds_are_not_judged():
    assert [claim.ok for claim in longshot(P, boards=0)] == [False, False]
    assert [claim.ok for claim in longshot(P, off="the policy is sticky")] == [None, None]
    even = np.full(FILES, 1 / FILES)
    assert [claim.ok for claim in longshot_claims(even, [even], shelves=SHELVES, error=0.1, off="")] == [None, None]


def test_the_tail_gets_the_bytes_and_credits_of_its_requests(tmp_path):
    assert all(claim.ok for claim in share_claims(record_of(tmp_path), P))
    even = share_claims(record_of(tmp_path, asked=np.full(FILES, 1 / FILES)), P)
    assert [claim.ok for claim in even] == [False, False]


def test_a_tail_that_is_not_paid_fails_the_credits_only(tmp_path):
    unpaid = share_claims(record_of(tmp_path, paid=lambda index: FEE if index < FILES // 2 else 0), P)
    assert [claim.ok for claim in unpaid] == [True, False]
    assert [claim.ok for claim in share_claims(record_of(tmp_path, requests=0), P)] == [False, False]


def waits(record, off=""):
    return wait_claims(record, SHELVES, error=0.02, off=off)


def test_waits_follow_the_lines_and_rank_makes_no_difference_in_times_of_service(tmp_path):
    claims = waits(record_of(tmp_path))
    assert all(claim.ok for claim in claims)
    assert all(claim.measured == pytest.approx(claim.predicted) for claim in claims)
    head, tail, ratio, in_seconds = claims
    assert ratio.predicted == pytest.approx(tail.predicted / head.predicted)
    assert in_seconds.predicted > 2


def test_equal_bandwidth_for_all_files_keeps_the_popular_ones_waiting_and_fails(tmp_path):
    head, tail, ratio, in_seconds = waits(record_of(tmp_path, shares=np.full(FILES, 1 / FILES)))
    assert (head.ok, ratio.ok, in_seconds.ok) == (False, False, False)
    assert head.measured > 2 * head.predicted
    assert tail.measured < tail.predicted


def test_a_tail_left_with_half_of_its_bandwidth_fails(tmp_path):
    starved = np.where(np.arange(FILES) >= FILES // 2, P / 2, P)
    _, tail, ratio, in_seconds = waits(record_of(tmp_path, shares=starved))
    assert (tail.ok, ratio.ok, in_seconds.ok) == (False, False, False)


def test_waits_are_not_judged_without_requests_or_where_theory_does_not_reach(tmp_path):
    assert {claim.ok for claim in waits(record_of(tmp_path, requests=0))} == {False}
    assert {claim.ok for claim in waits(record_of(tmp_path), off="a topology")} == {None}
