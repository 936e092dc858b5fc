"""Claims: a comparison holds within its tolerance only, and never without a measurement."""

from __future__ import annotations

import pytest

from netem.events import Event
from scenarios.claims import Record, Trace, compare


class One(Event, frozen=True):
    number: int


class Two(Event, frozen=True):
    number: int


@pytest.mark.parametrize(
    ("measured", "ok"), [(10.0, True), (10.5, True), (9.5, True), (10.51, False), (float("nan"), False), (None, False)]
)
def test_a_claim_holds_within_its_tolerance(measured, ok):
    claim = compare("speed", predicted=10.0, measured=measured, tolerance=0.5, source="theory")
    assert claim.ok is ok
    assert claim.detectable == 0.5
    assert ("nothing was measured" in claim.note) == (measured is None)


def test_a_claim_is_plain_values_with_every_field():
    claim = compare("speed", predicted=10.0, measured=10.1, tolerance=0.5, source="theory", note="why")
    assert claim.to_dict() == {
        "name": "speed",
        "predicted": 10.0,
        "measured": 10.1,
        "tolerance": 0.5,
        "ok": True,
        "source": "theory",
        "detectable": 0.5,
        "note": "why",
    }


def test_a_trace_keeps_events_by_type_in_order_with_their_times():
    trace = Trace()
    for time_ns, event in ((5, One(1)), (5, Two(2)), (6, One(3))):
        trace.fold(time_ns, event)
    assert trace.of(One) == [(5, One(1)), (6, One(3))]
    assert trace.of(Two) == [(5, Two(2))]
    assert trace.of(Event) == []


def test_a_record_tells_times_since_the_scenario_began():
    trace = Trace()
    for time_ns, event in [(5_000_000_000, One(1)), (5_500_000_000, Two(1)), (7_000_000_000, One(2))]:
        trace.fold(time_ns, event)
    record = Record(params=None, trace=trace, started_ns=4 * 10**9, certificate=None, facts={}, ledger_ok={})
    assert record.times_s(One) == [1.0, 3.0]
    assert record.times_s(Event) == []
