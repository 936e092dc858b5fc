"""What a coalition gains: the claims on made-up records, and the scenario itself."""

from __future__ import annotations

import pytest

from netem.clock import S
from netem.errors import ConfigError
from scenarios.claims import Record, Trace
from scenarios.market.coalition_claims import dealing_claim, income_claim
from scenarios.scripts.coalition import Params
from tests.scenarios.whole_runs import assert_every_claim_holds, assert_every_claim_holds_in_real_time, play
from tracker.events import BoardPosted, DownloadSettled, FeeHeld, FilePublished

SERVER, FETCHER, MEMBER, SHILL = (bytes([n]) * 8 for n in range(4))
FEE, SIZE_BYTES = 1_000_000, 100_000
PARAMS = Params(duration_s=10.0, upload_bytes_per_s=20_000.0)  # two files in the time


def record_of(*downloads):
    """Return a record of downloads: (downloader, payouts)."""
    trace = Trace()
    trace.fold(0, FilePublished(0, "f", SIZE_BYTES, bytes(32), SERVER))
    trace.fold(S, BoardPosted(1, [0.5, 0.5], [0.0, 0.0], 2))
    for number, (downloader, payouts) in enumerate(downloads):
        name = bytes([number]) * 16
        trace.fold(S, FeeHeld(name, 0, downloader, FEE))
        trace.fold(2 * S, DownloadSettled(name, "close", payouts, FEE - sum(paid for _, paid in payouts)))
    facts = {
        "honest": [SERVER, FETCHER],
        "servers": [SERVER],
        "accomplices": [MEMBER],
        "popularity": [0.5, 0.5],
        "samples": [{"proven": {MEMBER: 7.0}}],
    }
    return Record(params=PARAMS, trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})


HONEST = (FETCHER, [(SERVER, FEE)])


def test_paying_itself_brings_a_coalition_nothing_and_paying_others_costs():
    claim = dealing_claim(record_of(HONEST, (SHILL, [(MEMBER, FEE)]), (MEMBER, [(SERVER, FEE // 2)])))
    assert (claim.ok, claim.measured) == (True, -FEE // 2)


def test_a_credit_more_than_was_paid_in_fails():
    assert dealing_claim(record_of(HONEST, (SHILL, [(MEMBER, FEE + 1)]))).ok is True  # the refund is less by as much
    record = record_of(HONEST, (SHILL, []))
    record.trace.fold(3 * S, DownloadSettled(bytes([1]) * 16, "expiry", [(MEMBER, 1)], FEE))
    assert dealing_claim(record).ok is False


def test_without_a_dealing_there_is_nothing_to_judge():
    assert dealing_claim(record_of(HONEST)).ok is False


@pytest.mark.parametrize(("sold", "holds"), [(0, True), (2, True), (3, False)])
def test_a_member_sells_at_most_what_its_upload_carries(sold, holds):
    claim = income_claim(record_of(HONEST, *[(FETCHER, [(MEMBER, FEE)])] * sold))
    assert (claim.predicted, claim.measured, claim.ok) == (2.0, sold, holds)
    assert "proven rate up to 7 x its upload" in claim.note


def test_what_the_coalition_pays_itself_is_no_income():
    assert income_claim(record_of(HONEST, *[(SHILL, [(MEMBER, FEE)])] * 9)).measured == 0


def test_without_honest_income_nothing_is_compared():
    assert income_claim(record_of((FETCHER, [(MEMBER, FEE)]))).ok is False


def test_a_role_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="self_deal"):
        Params(coalition="self_deal, charm")


@pytest.mark.slow
@pytest.mark.parametrize("time", ["virtual", "real"])
def test_a_coalition_gains_no_more_than_the_claims_allow(tmp_path, time):
    expect = assert_every_claim_holds if time == "virtual" else assert_every_claim_holds_in_real_time
    expect(play("coalition", tmp_path / "out", time=time))
