"""The flash crowd's own claims: they hold for the market, and fail when what they guard is broken."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
import trio

from netem.clock import S
from netem.errors import ConfigError, Rejection
from node.events import DownloadFinished, PieceAccepted
from scenarios.claims import Record, Trace
from scenarios.content import Shared
from scenarios.market.crowd import AGAIN_S, publish
from scenarios.market.events import Arrival, CrowdLeft
from scenarios.market.odds_claims import OLD_ODDS_NAME
from scenarios.result import EXIT_CLAIM
from scenarios.scripts import flash_crowd
from scenarios.scripts.flash_crowd import (
    NewFileReleased,
    Params,
    growth_claim,
    new_odds_claim,
    popularity,
)
from scenarios.trace_file import read_trace
from tracker.events import BoardPosted

NODE, SERVER = b"n" * 8, b"s" * 8
FILES = 6
SIZE_BYTES = 500_000
# A copy's upload time, from the definition: wire bytes of a copy over the reserved upload, more for what is lost.
COPY_S = SIZE_BYTES * (1024 + 39) / 1024 / (125_000 * 0.92) / 0.95


def record_of(events, tmp_path, size_bytes=SIZE_BYTES, **params):
    trace = Trace()
    for time_s, event in sorted(events, key=lambda pair: pair[0]):
        trace.fold(round(time_s * S), event)
    params = msgspec.structs.replace(Params(), **params)
    facts = {
        "popularity": popularity(params, FILES - 1),
        "new_index": FILES - 1,
        "files": [Shared(str(index), tmp_path, size_bytes) for index in range(FILES)],
    }
    return Record(params=params, trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})


def market(shares, boards=40):
    """Boards that stay at `shares`, and some accepted pieces, between release and end."""
    accepted = PieceAccepted(NODE, b"d" * 16, 0, 0, [(SERVER, 20_000)])
    return [
        (0.0, NewFileReleased(FILES - 1, SIZE_BYTES)),
        (0.5, accepted),
        *((float(n), BoardPosted(n, list(shares), list(shares), 20)) for n in range(1, boards + 1)),
        (boards + 0.5, CrowdLeft()),
    ]


def test_popularity_is_zipf_with_the_new_file_last():
    p = popularity(Params(zipf=1.0, new_share=0.25), 3)
    assert p == pytest.approx(np.array([6, 3, 2, 0]) / 11 * 0.75 + [0, 0, 0, 0.25])


def test_odds_at_the_request_shares_hold_and_equal_odds_fail(tmp_path):
    p = popularity(Params(), FILES - 1)
    assert new_odds_claim(record_of(market(p), tmp_path)).ok
    claim = new_odds_claim(record_of(market(np.full(FILES, 1 / FILES)), tmp_path))
    assert claim.ok is False
    assert claim.measured > 2 * claim.tolerance


def test_odds_a_little_off_the_tolerance_fail(tmp_path):
    p = popularity(Params(), FILES - 1)
    tolerance = new_odds_claim(record_of(market(p), tmp_path)).tolerance
    for off, holds in ((0.9, True), (1.1, False)):
        shifted = p + np.array([off * tolerance, 0, 0, 0, 0, -off * tolerance])
        assert new_odds_claim(record_of(market(shifted), tmp_path)).ok is holds


def test_too_few_boards_are_too_little_data(tmp_path):
    claim = new_odds_claim(record_of(market(popularity(Params(), FILES - 1), boards=20), tmp_path))
    assert claim.ok is False
    assert "too little data" in claim.note


def test_noise_that_would_hide_equal_odds_is_too_little_data(tmp_path):
    claim = new_odds_claim(record_of(market(popularity(Params(), FILES - 1)), tmp_path, beliefs="learned"))
    assert claim.ok is False
    assert "too little data" in claim.note


def test_boards_after_the_crowd_left_do_not_count(tmp_path):
    p = popularity(Params(), FILES - 1)
    late = [(float(n), BoardPosted(n, [1.0] + [0.0] * (FILES - 1), [0.0] * FILES, 20)) for n in range(42, 80)]
    assert new_odds_claim(record_of(market(p) + late, tmp_path)).ok


CROWD_TOO_SMALL = {"nodes": 500, "crowd_bytes_per_s": 1e6}


def test_a_crowd_too_small_for_its_nodes_is_judged_by_the_old_files(tmp_path):
    p = popularity(Params(), FILES - 1)
    growing = np.append(p[:-1] * 0.9 / 0.7, 0.1)
    claim = new_odds_claim(record_of(market(growing), tmp_path, **CROWD_TOO_SMALL))
    assert (claim.name, claim.ok) == (OLD_ODDS_NAME, True)
    assert "still grows" in claim.note
    assert claim.measured == pytest.approx(0.0, abs=1e-12)
    equal = np.append(np.full(FILES - 1, 0.9 / (FILES - 1)), 0.1)
    assert new_odds_claim(record_of(market(equal), tmp_path, **CROWD_TOO_SMALL)).ok is False
    assert new_odds_claim(record_of(market(growing), tmp_path)).ok is False


def test_the_old_files_odds_have_the_tolerance_of_their_own_noise(tmp_path):
    p = popularity(Params(), FILES - 1)
    tolerance = new_odds_claim(record_of(market(p), tmp_path, **CROWD_TOO_SMALL)).tolerance
    for off, holds in ((0.9, True), (1.1, False)):
        shifted = p + 0.7 * np.array([off * tolerance, 0, 0, 0, -off * tolerance, 0])
        assert new_odds_claim(record_of(market(shifted), tmp_path, **CROWD_TOO_SMALL)).ok is holds


def test_without_an_old_file_there_is_nothing_to_compare(tmp_path):
    record = record_of(market([1.0]), tmp_path, **CROWD_TOO_SMALL)
    record.facts.update(popularity=np.array([1.0]), new_index=0, files=record.facts["files"][-1:])
    claim = new_odds_claim(record)
    assert claim.ok is False
    assert "too little data" in claim.note


def growth(ends, arrivals=None):
    index = FILES - 1
    arrivals = arrivals if arrivals is not None else [0.1] * len(ends)
    return [
        (0.0, NewFileReleased(index, SIZE_BYTES)),
        *((at, Arrival(index, NODE)) for at in arrivals),
        *((at, DownloadFinished(NODE, b"d" * 16, index, b"", 0, 0)) for at in ends),
        (60.0, CrowdLeft()),
    ]


def test_copies_by_the_logarithmic_law_hold(tmp_path):
    harmonic = np.cumsum(COPY_S / np.arange(1, 11))
    # Beyond the bare law: two boards until the seed serves the file, and a second until each new server is noticed.
    claim = growth_claim(record_of(growth(harmonic + 2 + 0.6 * np.arange(10)), tmp_path))
    assert claim.ok


def test_copies_that_nobody_serves_on_fail(tmp_path):
    claim = growth_claim(record_of(growth(COPY_S * np.arange(1, 11)), tmp_path, nodes=60))
    assert claim.ok is False
    assert claim.measured == pytest.approx(9 * COPY_S)


def test_a_small_crowd_is_asked_for_as_many_copies_as_it_can_make(tmp_path):
    # 1e6 / 500,000 requests a second, 0.3 of them for the new file, over the 40 s after its release: 24, of which half.
    ends = 2.0 * np.arange(1, 25)
    claim = growth_claim(record_of(growth(ends, arrivals=ends - 1), tmp_path, **CROWD_TOO_SMALL))
    assert claim.name.startswith("12 copies ")
    assert claim.measured == pytest.approx(24.0)
    assert growth_claim(record_of(growth(ends), tmp_path, nodes=500)).name.startswith("75 copies ")


def test_too_few_copies_fail_with_a_reason(tmp_path):
    claim = growth_claim(record_of(growth([5.0, 8.0]), tmp_path))
    assert claim.ok is False
    assert claim.measured is None
    assert "too little data" in claim.note


def test_what_the_user_switched_off_is_left_unjudged(tmp_path):
    p = popularity(Params(), FILES - 1)
    assert new_odds_claim(record_of(market(p), tmp_path, policy="price_taker")).ok is None
    assert new_odds_claim(record_of(market(p), tmp_path, appear_s=60.0)).ok is None
    events = growth(COPY_S * np.arange(1, 11))
    for other in (
        {"download_bytes_per_s": 50_000.0},
        {"rate_bytes_per_s": 50_000.0},
        {"delay_s": 0.3},
        {"appear_s": 60.0},
    ):
        claim = growth_claim(record_of(events, tmp_path, **other))
        assert claim.ok is None
        assert claim.note


def test_a_new_file_without_bytes_has_no_growth_to_judge(tmp_path):
    claim = growth_claim(record_of(growth([0.1] * 10), tmp_path, size_bytes=0))
    assert claim.ok is None
    assert "no bytes" in claim.note


@pytest.mark.parametrize(("sizes_bytes", "new_bytes"), [([0, 0, 0, 0, 300], 300), ([0, 0, 0], 0)])
def test_the_new_file_has_bytes_if_any_has(swarmbed, tmp_path, sizes_bytes, new_bytes):
    content = tmp_path / "content"
    content.mkdir()
    for number, size_bytes in enumerate(sizes_bytes):
        (content / f"{number}").write_bytes(b"x" * size_bytes)
    given = ["--time", "virtual", "--nodes", 4, "--duration", 6, "--set", "appear_s=0.5", "--content", content]
    outcome = swarmbed("run", "flash-crowd", *given, "--out", tmp_path / "run", "--quiet")
    assert outcome.status == EXIT_CLAIM  # six seconds are too few to judge the odds
    trace = read_trace(tmp_path / "run" / "events.msgpack")
    assert [fields[-1] for _, (kind, *fields) in trace if kind == "NewFileReleased"] == [new_bytes]


def test_a_fee_that_nobody_could_pay_is_refused():
    with pytest.raises(ConfigError, match="fee_credits"):
        Params(fee_credits=11, endowment_credits=10)


def test_the_scenario_says_what_it_asks():
    assert "Question:" in flash_crowd.__doc__
    assert "huberman-wu" in flash_crowd.__doc__
    assert math.isinf(Params().rate_bytes_per_s)


class Crashing:
    """A node whose host goes down under the first calls."""

    def __init__(self, *reasons):
        self.reasons = list(reasons)

    async def publish(self, name, path):
        if self.reasons:
            raise Rejection(self.reasons.pop(0))
        return 7


async def test_a_node_that_crashes_publishes_when_it_is_back_and_another_no_is_told(autojump_clock):
    file = Shared("f", Path("f"), 1)
    assert await publish(Crashing("crashed", "crashed"), file) == 7
    assert trio.current_time() == 2 * AGAIN_S
    with pytest.raises(Rejection):
        await publish(Crashing("full"), file)
