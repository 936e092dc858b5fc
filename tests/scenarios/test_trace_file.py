"""The trace file: any MessagePack reader can read it, in order, and damage is told."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from netem.errors import ConfigError
from netem.events import Event
from scenarios.trace_file import TraceError, TraceFile, read_trace


class Seen(Event, frozen=True):
    """An event of these tests."""

    node: bytes
    share: float
    name: str


def test_what_was_folded_is_read_back_in_order(tmp_path):
    with TraceFile(tmp_path / "trace") as trace:
        trace.fold(2**60, Seen(b"\xff", 0.25, "日本\n"))
        trace.fold(2**60, Seen(b"", 0.5, ""))
    assert list(read_trace(tmp_path / "trace")) == [
        (2**60, ["Seen", b"\xff", 0.25, "日本\n"]),
        (2**60, ["Seen", b"", 0.5, ""]),
    ]


def test_a_plain_reader_reads_a_runs_trace(finished):
    with (finished.directory / "events.msgpack").open("rb") as file:
        events = list(msgpack.Unpacker(file))
    assert len(events) == finished.counts["events"]
    times = [time_ns for time_ns, _ in events]
    assert times == sorted(times)
    assert times[0] >= 1_700_000_000 * 10**9  # virtual time has a fixed base
    assert all(isinstance(kind, str) for _, (kind, *_) in events)
    assert {"NodeJoined", "FilePublished", "PieceAccepted", "DownloadSettled"} <= {kind for _, (kind, *_) in events}


@pytest.mark.parametrize(
    "damage",
    [b"\x07", b"\x93\x01\x02\x03", b"\xc1", b"\x92\x01\xa1\xff"],
    ids=["no pair", "three", "no type", "no text"],
)
def test_a_damaged_trace_is_told_after_its_good_part(tmp_path, damage):
    (tmp_path / "trace").write_bytes(msgpack.packb([1, ["Seen"]]) + damage)
    events = read_trace(tmp_path / "trace")
    assert next(events) == (1, ["Seen"])
    with pytest.raises(ConfigError, match=r"RUN_DIR: .*a readable trace"):
        next(events)


def test_a_missing_trace_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"RUN_DIR: .*No such file"):
        list(read_trace(tmp_path / "trace"))


def test_an_event_too_large_to_be_one_is_told(tmp_path):
    (tmp_path / "trace").write_bytes(b"\x92\x01\xc6" + (2**30).to_bytes(4, "big") + bytes(17 * 2**20))
    with pytest.raises(ConfigError, match=r"RUN_DIR: .*a readable trace"):
        list(read_trace(tmp_path / "trace"))


def test_a_full_disk_is_said_once_and_hides_no_other_error():
    with pytest.raises(TraceError, match="/dev/full: No space"), TraceFile(Path("/dev/full")) as trace:
        trace.fold(0, Seen(b"", 0.5, ""))  # still in the buffer: closing says it
    with TraceFile(Path("/dev/full")) as trace:
        with pytest.raises(TraceError, match="No space"):
            trace.fold(0, Seen(b"", 0.5, "x" * 1_000_000))
        trace.fold(1, Seen(b"", 0.5, ""))
    trace = TraceFile(Path("/dev/full"))
    trace.fold(0, Seen(b"", 0.5, ""))
    trace.__exit__(KeyError, KeyError("first"), None)
