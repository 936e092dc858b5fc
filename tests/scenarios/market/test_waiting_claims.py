"""What claims about waiting are made of: times from the trace, who was answered, and bounds from the model."""

import math

import msgspec
import pytest

from netem.clock import S
from node.events import DownloadFinished, DownloadStarted
from scenarios.claims import Record, Trace
from scenarios.market.events import Arrival
from scenarios.market.waiting_claims import (
    Mean,
    answered_claim,
    extra_s,
    loss_error,
    mean_of,
    other_bottleneck,
    times_by_file,
)
from scenarios.parameters import Params

NODE = b"n" * 8


def record_of(*events):
    trace = Trace()
    for time_s, event in sorted(events, key=lambda pair: pair[0]):
        trace.fold(round(time_s * S), event)
    return Record(params=Params(), trace=trace, started_ns=0, certificate=None, facts={}, ledger_ok={})


def download(number, index, *, start_s, took_s):
    name = number.to_bytes(16, "big")
    return [
        (start_s, Arrival(index, NODE)),
        (start_s, DownloadStarted(NODE, name, index, 3)),
        (start_s + took_s, DownloadFinished(NODE, name, index, b"", 0, 0)),
    ]


def test_times_are_those_of_finished_downloads_in_order_of_their_starts():
    events = [*download(1, 7, start_s=2, took_s=3), *download(2, 7, start_s=1, took_s=9)]
    unfinished = download(3, 7, start_s=3, took_s=1)[:2]
    assert dict(times_by_file(record_of(*events, *unfinished))) == {7: [(1, 9), (2, 3)]}


def test_requests_are_answered_when_every_file_came_as_often_as_it_was_asked_for():
    events = [*download(1, 0, start_s=1, took_s=1), *download(2, 5, start_s=2, took_s=1)]
    nobody = (3.0, Arrival(1, b""))  # all have it or are fetching it
    assert answered_claim(record_of(*events, nobody)).ok
    assert answered_claim(record_of(*events[:-1])).ok is False
    late = answered_claim(record_of(*events[:-1], download(3, 0, start_s=3, took_s=1)[2]))
    assert (late.ok, late.predicted, late.measured) == (False, 2, 2)
    assert answered_claim(record_of()).ok is False


def test_a_mean_holds_what_was_expected_with_what_may_be_added_and_four_deviations_of_chance():
    mean = mean_of([(2.0, 1.0, 0.5, 0.3), (4.0, 2.0, 0.5, 0.4)])
    assert (mean.measured, mean.predicted) == (3.0, 1.5)
    assert mean.tolerance == pytest.approx(0.5 + 4 * 0.5 / 2)
    assert mean_of([]).claim("m", source="s").ok is False


def test_a_ratio_of_means_is_as_loose_as_the_looser_of_them():
    ratio = Mean(2.0, 2.2, 0.2).over(Mean(1.0, 1.0, 0.3))
    assert (ratio.predicted, ratio.measured) == (2.0, 2.2)
    assert ratio.tolerance == pytest.approx(0.6)
    assert ratio.claim("r", source="s").ok
    assert Mean(2.0, 2.7, 0.2).over(Mean(1.0, 1.0, 0.3)).claim("r", source="s").ok is False
    assert Mean(2.0, None, 0.2).over(Mean(1.0, 1.0, 0.3)).claim("r", source="s").ok is False


def test_without_loss_only_round_trips_and_two_spacings_are_added_and_with_it_what_silence_costs():
    calm = msgspec.structs.replace(Params(), loss=0.0)
    assert extra_s(calm, spacing_s=0.1, servers=4) == pytest.approx((2 * 0.04 + 0.2, 0.0))
    longer_s, deviation_s = extra_s(Params(), spacing_s=0.1, servers=4)
    late = 1 - 0.95**4
    assert longer_s == pytest.approx(0.28 + late * 0.62)
    assert deviation_s == pytest.approx(0.62 * math.sqrt(late * (1 - late)))


def test_the_chance_in_lost_blocks_is_that_of_a_negative_binomial():
    assert loss_error(Params(), 1024 * 500) == pytest.approx(0.01)


def test_what_limits_downloads_besides_uploads_is_named():
    assert other_bottleneck(Params(), servers=4) == ""
    for limit in ({"topology": "t.toml"}, {"download_bytes_per_s": 2e5}, {"rate_bytes_per_s": 2e5}, {"delay_s": 0.3}):
        assert other_bottleneck(msgspec.structs.replace(Params(), **limit), servers=4)
