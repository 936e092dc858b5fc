"""What claims about waiting are made of: times from the trace, who was answered, and bounds from the model."""

import itertools
import math

import msgspec
import numpy as np
import pytest

from netem.clock import S
from netem.randomness import keyed_generator
from node.events import DownloadFinished, DownloadStarted
from scenarios.claims import Record, Trace
from scenarios.market.events import Arrival
from scenarios.market.waiting_claims import (
    Mean,
    Row,
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
    mean = mean_of([[Row(2.0, 1.0, 0.5, 0.3, 0.0), Row(4.0, 2.0, 0.5, 0.4, 0.0)]])
    assert (mean.measured, mean.predicted) == (3.0, 1.5)
    assert mean.tolerance == pytest.approx(0.5 + 4 * 0.5 / 2)
    assert mean_of([]).claim("m", source="s").ok is False


def test_the_deviation_of_a_mean_is_that_of_simulated_downloads_with_chance_of_their_own_and_of_their_group():
    groups = [[Row(0.0, 1.0, 0.0, 0.3, 0.5)] * 3, [Row(0.0, 1.0, 0.0, 0.2, 0.1)] * 7]
    chance, plays = keyed_generator(1, "means"), 20_000
    sums = np.zeros(plays)
    for group in groups:
        own, shared = chance.standard_normal((plays, len(group))), chance.standard_normal((plays, 1))
        sums += (own * [row.own for row in group] + shared * [row.shared for row in group]).sum(axis=1)
    assert mean_of(groups).deviation == pytest.approx((sums / 10).std(), rel=4 / math.sqrt(2 * plays))


def test_without_chance_a_ratio_of_means_is_as_loose_as_the_looser_of_them():
    ratio = Mean(2.0, 2.2, 0.2, 0.0).over(Mean(1.0, 1.0, 0.3, 0.0))
    assert (ratio.predicted, ratio.measured) == (2.0, 2.2)
    assert ratio.tolerance == pytest.approx(0.6)
    assert ratio.claim("r", source="s").ok
    for above, below in itertools.product((2.0, 2.2), (1.0, 1.3)):  # whatever each of them takes longer
        assert Mean(2.0, above, 0.2, 0.0).over(Mean(1.0, below, 0.3, 0.0)).claim("r", source="s").ok
    assert Mean(2.0, 2.7, 0.2, 0.0).over(Mean(1.0, 1.0, 0.3, 0.0)).claim("r", source="s").ok is False
    assert Mean(2.0, None, 0.2, 0.0).over(Mean(1.0, 1.0, 0.3, 0.0)).claim("r", source="s").ok is False


@pytest.mark.parametrize(("deviation", "other"), [(0.02, 0.01), (0.02, 0.0), (0.0, 0.01)])
def test_the_deviation_of_a_ratio_is_that_of_simulated_means_with_chance_of_their_own(deviation, other):
    chance, plays = keyed_generator(2, "ratios"), 20_000
    above = 2.0 + deviation * chance.standard_normal(plays)
    below = 1.0 + other * chance.standard_normal(plays)
    ratio = Mean(2.0, 2.0, 0.0, deviation).over(Mean(1.0, 1.0, 0.0, other))
    # The error of a standard deviation, and the second order that is left out: relative chance squared.
    allowed = 4 / math.sqrt(2 * plays) + max(deviation / 2, other) ** 2
    assert ratio.deviation == pytest.approx((above / below).std(), rel=allowed)
    assert ratio.tolerance == 4 * ratio.deviation


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
