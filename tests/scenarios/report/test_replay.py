"""A run's samples rebuilt from its directory are those that were there, whatever is missing of it."""

from __future__ import annotations

import io
import shutil

import msgpack
import pytest

from netem.errors import ConfigError
from scenarios.finished_run import FinishedRun
from scenarios.promql.queries import evaluate_instant
from scenarios.report import replay as module
from scenarios.report.replay import replay


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished.directory, tmp_path / "run")


@pytest.fixture
def few_samples(monkeypatch):
    """Bound the samples of what goes on for centuries: each of them costs time."""
    monkeypatch.setattr(module, "MOST_SAMPLES", 100)


def replayed(directory):
    return replay(FinishedRun(directory), turn=lambda _number: None)


def last(told, query):
    found = evaluate_instant(told.store, query, time_ms=told.store.bounds_ms()[1])
    return found.frame.values.ravel().tolist()


def test_at_the_end_events_and_samples_say_what_the_result_says(finished):
    told = replayed(finished.directory)
    assert not told.notes
    counts = finished.counts
    assert last(told, "sum(swarmbed_downloads_ended_total)") == [
        counts["downloads_finished"] + counts["downloads_stopped"]
    ]
    assert last(told, "sum(swarmbed_delivered_bytes_total)") == [counts["bytes_accepted"]]
    assert last(told, "swarmbed_netem_sent_datagrams_total") == [counts["datagrams_sent"]]
    assert last(told, "swarmbed_events_total") == [counts["events"]]
    assert last(told, "sum(swarmbed_bank_imbalance_microcredits)") == [0]
    assert last(told, "count(swarmbed_claim_ok)") == [sum(claim.ok is not None for claim in finished.claims)]
    assert last(told, 'count(swarmbed_run_info{time="virtual"})') == [1]


def test_counters_that_a_slower_sampling_left_out_change_evenly_between(copied):
    records = list(msgpack.Unpacker(io.BytesIO((copied / "samples.msgpack").read_bytes())))
    places = [place for place, record in enumerate(records) if record[0] == "at"]
    first, final = records[places[0]], {}
    for place in places:
        final |= dict(zip(records[place][2], records[place][3], strict=True))
    kept = [record for place, record in enumerate(records) if place not in places[1:]]
    kept.append(["at", records[places[-1]][1], list(final), list(final.values()), []])
    (copied / "samples.msgpack").write_bytes(b"".join(map(msgpack.packb, kept)))
    told = replayed(copied)
    middle_ms = (first[1] + records[places[-1]][1]) // 2
    sent = "swarmbed_netem_sent_datagrams_total"
    begin, half, end = (
        evaluate_instant(told.store, sent, time_ms=at).frame.values.item() for at in (first[1], middle_ms, kept[-1][1])
    )
    assert begin < half < end
    second_share = (end - begin) * 1_000 / (kept[-1][1] - first[1])  # samples are a second apart
    assert half == pytest.approx((begin + end) / 2, abs=1.01 * second_share)


def test_an_older_run_without_samples_still_tells_what_its_events_tell(copied, finished):
    (copied / "samples.msgpack").unlink()
    told = replayed(copied)
    assert any("kept no samples" in note for note in told.notes)
    assert last(told, "sum(swarmbed_delivered_bytes_total)") == [finished.counts["bytes_accepted"]]
    assert last(told, "swarmbed_netem_sent_datagrams_total") == []


def test_events_of_another_version_are_left_out_and_counted(copied, few_samples):
    path = copied / "events.msgpack"
    path.write_bytes(path.read_bytes() + msgpack.packb([2 * 10**18, ["FeeHeld", "other", "fields"]]))
    assert "1 events of another version were left out" in replayed(copied).notes


def test_a_trace_that_is_cut_off_is_read_up_to_the_cut(copied):
    path = copied / "events.msgpack"
    path.write_bytes(path.read_bytes()[:-3])
    assert any("midst of an event" in note for note in replayed(copied).notes)


@pytest.mark.parametrize("data", [b"\xc1", msgpack.packb([1, 2]), msgpack.packb(["x", ["FeeHeld"]]), msgpack.packb(7)])
def test_a_damaged_trace_is_refused(copied, data):
    (copied / "events.msgpack").write_bytes(data)
    with pytest.raises(ConfigError, match=r"RUN_DIR: .*a run directory with a readable trace"):
        replayed(copied)


def test_the_number_of_samples_is_bounded_however_long_a_run_was(copied, monkeypatch):
    monkeypatch.setattr(module, "MOST_SAMPLES", 4)
    told = replayed(copied)
    numbers = told.store.select(())
    assert 4 <= len(told.store.samples(numbers, start_ms=0, end_ms=2**60).times_ms) <= 9


def test_a_moment_far_off_costs_no_second_for_every_sample(copied, few_samples):
    path = copied / "events.msgpack"
    path.write_bytes(msgpack.packb([1, ["BoardPosted", 1, [], [], 0]]) + path.read_bytes())
    assert replayed(copied).started_ns == 1


def test_the_last_events_are_told_by_the_names_of_nodes(finished):
    lines = [line["text"] for line in replayed(finished.directory).ticker.since(0)]
    assert any(text.startswith("node joined: node-") or "4 times" in text for text in lines)


def test_every_fault_of_the_trace_is_told_however_close_they_are(copied, few_samples):
    path = copied / "events.msgpack"
    end_ns = 2 * 10**18
    events = [[end_ns + number, ["FaultMade", kind, "words"]] for number, kind in enumerate(("crash", "crash", "heal"))]
    path.write_bytes(path.read_bytes() + b"".join(map(msgpack.packb, events)))
    assert replayed(copied).faults == [(end_ns, "crash"), (end_ns + 1, "crash"), (end_ns + 2, "heal")]
