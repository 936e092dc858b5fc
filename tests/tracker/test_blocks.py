"""Blocks as datagrams: what was sent comes back, any change is noticed, and hostile bytes raise `BadFrame` and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import BadFrame
from tracker.blocks import block_digest, block_flow, encode_block, flow_id, open_block
from tracker.wire import MAX_DATAGRAM_BYTES

DIGEST = block_digest(bytes(range(32)))
FLOW = flow_id(bytes(range(16)), b"\xfe" * 8)


def refused(read, *arguments):
    with pytest.raises(BadFrame) as fault:
        read(*arguments)
    return fault.value.kind


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.binary(min_size=1, max_size=1024))
def test_a_block_round_trips(piece, block, data):
    datagram = encode_block(DIGEST, FLOW, data, piece=piece, block=block)
    assert block_flow(datagram) == FLOW
    assert open_block(datagram, DIGEST) == (piece, block, data)
    assert len(datagram) <= MAX_DATAGRAM_BYTES


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_change_of_a_block_is_noticed(at, xor):
    datagram = encode_block(DIGEST, FLOW, b"some data", piece=1, block=2)
    at %= len(datagram)
    bad = datagram[:at] + bytes([datagram[at] ^ xor]) + datagram[at + 1 :]
    assert refused(open_block, bad, DIGEST) == "forged"
    assert refused(open_block, datagram, block_digest(bytes(32))) == "forged"


@pytest.mark.parametrize(
    ("datagram", "kind"),
    [
        (b"", "malformed"),
        (b"\x01", "malformed"),
        (b"\x01" + bytes(26), "malformed"),
        (b"\x02" + bytes(27), "malformed"),
        (b"\x01" + bytes(27 + 1024), "oversized"),
    ],
)
def test_what_cannot_be_a_block_has_no_flow(datagram, kind):
    assert refused(block_flow, datagram) == kind


def test_a_flow_names_one_download_from_one_server():
    flows = {flow_id(bytes([d]) * 16, bytes([s]) * 8) for d in range(9) for s in range(9)}
    assert len(flows) == 81
    assert {len(flow) for flow in flows} == {8}


@given(st.binary(max_size=1100))
def test_random_bytes_are_no_block_or_a_forged_one(data):
    def read(datagram):
        block_flow(datagram)
        open_block(datagram, DIGEST)

    assert refused(read, b"\x00" + data) == "malformed"
    kind = "malformed" if len(data) < 27 else "forged" if len(data) < 27 + 1024 else "oversized"
    assert refused(read, b"\x01" + data) == kind
