"""Frames come back from a byte stream whole and in order, however it was cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import BadFrame, LocalProtocolError
from netem.framing import MAX_FRAME_BYTES, FrameReader, frame


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_frames_round_trip_however_the_stream_is_cut(frames, data):
    stream = b"".join(frame(one) for one in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = FrameReader()
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:end])
    assert got == frames


def test_one_byte_at_a_time_gives_each_frame_at_its_last_byte():
    reader = FrameReader()
    stream = frame(b"abc") + frame(b"") + frame(b"d")
    arrivals = {at: got for at in range(len(stream)) if (got := reader.feed(stream[at : at + 1]))}
    assert arrivals == {6: [b"abc"], 10: [b""], 15: [b"d"]}


def test_a_length_above_the_limit_is_refused_before_its_bytes_come():
    reader = FrameReader(limit_bytes=10)
    assert reader.feed(frame(bytes(10))) == [bytes(10)]
    with pytest.raises(BadFrame) as caught:
        reader.feed((11).to_bytes(4, "big"))
    assert caught.value.kind == "oversized"
    with pytest.raises(BadFrame):
        reader.feed(b"more")


def test_the_reader_keeps_no_more_than_one_unfinished_frame():
    reader = FrameReader(limit_bytes=100)
    for _ in range(50):
        reader.feed(frame(bytes(100)) + frame(bytes(100))[:60])
        reader.feed(frame(bytes(100))[60:])
        assert len(reader._buffer) < 104


def test_sending_more_than_the_limit_is_our_own_fault():
    frame(bytes(MAX_FRAME_BYTES))
    with pytest.raises(LocalProtocolError):
        frame(bytes(MAX_FRAME_BYTES + 1))
