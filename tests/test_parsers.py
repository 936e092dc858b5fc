"""No bytes make a parser raise anything but its declared errors: arbitrary ones, and mutations of valid ones.

The slow test lets atheris look for ten minutes; `SWARMBED_FUZZ_S` sets another time, in seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import parsers

HERE = Path(__file__).parent

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.sampled_from([b"n" * 8, b"d" * 16, bytes(32), 2**53, 2**62, 65_535, ""]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@st.composite
def mutated(draw, samples):
    """Draw a valid input with some bytes flipped, cut out, doubled, or spliced with another's."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, len(data)))
        what = draw(st.sampled_from(["flip", "cut", "double", "splice", "insert"]))
        if what == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        elif what == "cut":
            data = data[:at] + data[end:]
        elif what == "double":
            data = data[:end] + data[at:]
        elif what == "splice":
            other = draw(st.sampled_from(samples))
            data = data[:at] + other[draw(st.integers(0, len(other))) :]
        else:
            data = data[:at] + draw(st.binary(max_size=20)) + data[at:]
    return data


@st.composite
def confused(draw):
    """Draw a message body with some fields replaced by values of other types, sizes and ranges."""
    body = draw(st.sampled_from(parsers.BODIES))
    fields = msgpack.unpackb(body[1:])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(fields)))
        fields[at : at + 1] = [draw(VALUES)] * draw(st.integers(0, 2))
    return body[:1] + msgpack.packb(fields)


@pytest.mark.parametrize("name", sorted(parsers.TARGETS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_bytes_make_a_parser_raise_what_it_does_not_declare(name, data):
    parsers.TARGETS[name](data.draw(st.binary(max_size=200) | mutated(parsers.SAMPLES[name])))


@pytest.mark.parametrize("name", ["to_tracker", "to_desk", "to_peer"])
@settings(max_examples=100, deadline=None)
@given(body=confused())
def test_well_proven_nonsense_is_refused_like_any_other(name, body):
    parsers.TARGETS[name](body)


def test_the_samples_are_valid_and_reach_what_lies_behind_the_proofs():
    stage = parsers.stage
    before = stage.tracker.dropped.copy()
    for number, body in enumerate(parsers.BODIES):
        frame = stage.seal(body, to=parsers.TRACKER, key=stage.tracker_key)
        stage.tracker._reception.on_datagram(frame, parsers.ADDRESS)
        assert parsers.wire.peek(frame).number == number
    dropped = stage.tracker.dropped - before
    assert "forged" not in dropped
    assert dropped["unexpected"] >= len(parsers.BODIES) - 5


@pytest.mark.slow
def test_ten_minutes_of_guided_fuzzing_find_nothing():
    pytest.importorskip("atheris", reason="atheris has wheels for some systems only")
    seconds = os.environ.get("SWARMBED_FUZZ_S", "600")
    run = subprocess.run(
        [sys.executable, str(HERE / "fuzz_parsers.py"), seconds],
        cwd=HERE.parent,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2_000:] + run.stderr[-4_000:]
    assert "Done" in run.stderr


def test_a_request_with_a_paid_order_is_served_in_the_stage(monkeypatch):
    stage = parsers.Stage()  # time stands still in it: one that has served before would be paced for ever
    monkeypatch.setattr(parsers, "stage", stage)
    sent = stage.peer._uploader.blocks_sent
    body = next(body for body in parsers.BODIES if parsers.m.TYPES[body[0]] is parsers.m.Request)
    parsers.to_peer(body)
    assert stage.peer._uploader.blocks_sent > sent
    stage.peer.close()
    stage.directory.cleanup()


def test_the_fuzzers_see_a_parser_that_raises_something_else(monkeypatch):
    monkeypatch.setattr(parsers.wire, "_decode", lambda decoder, data: decoder.decode(data))
    with pytest.raises(parsers.msgspec.DecodeError):
        parsers.control(b"\x02\x98\x01" + bytes(40))
