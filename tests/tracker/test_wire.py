"""The wire: golden bytes, an independent decoder, and hostile bytes that raise `BadFrame` and nothing else."""

import struct
from collections import Counter
from pathlib import Path

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import BadFrame, LocalProtocolError
from netem.framing import MAX_FRAME_BYTES
from tracker import blocks, wire
from tracker import messages as m
from tracker.identity import Identity

GOLDEN = Path(__file__).parent / "golden" / f"frames-v{wire.VERSION}.txt"
SIGNER = Identity(bytes(range(32)), epoch=2)
KEY = bytes(range(32, 64))
TO = b"\xfe" * 8
DOWNLOAD = bytes(range(16))
SERVER = m.Server(TO, KEY, KEY, 3, "127.0.0.2", 4000)
MANIFEST = m.Manifest("böok/a\nb.txt", 300_000, [KEY, KEY], KEY)

SAMPLES = (
    m.Join(SIGNER.sign_key, SIGNER.exchange_key, "127.0.0.1", 4000, 125_000.0),
    m.Welcome(SIGNER.sign_key, SIGNER.exchange_key, 12, 100_000_000),
    m.Leave(),
    m.Ok(),
    m.Reject("unknown-file", "7"),
    MANIFEST,
    m.Publish(MANIFEST),
    m.Published(300),
    m.GetCatalogue(5),
    m.Catalogue([m.Entry(0, "日本", 1, KEY)]),
    m.GetManifest(1),
    m.Hold(1, True),
    m.Open(DOWNLOAD, 1),
    m.Order(DOWNLOAD, 1, SIGNER.node, SIGNER.sign_key, SIGNER.exchange_key, 2, 1_700_000_000_000_000_000),
    m.Opened(b"order", 1_000_000, [SERVER]),
    m.GetServers(1),
    m.Servers([SERVER, SERVER]),
    m.Close(DOWNLOAD, [(SIGNER.node, 5), (TO, 2**52)]),
    m.Closed(1_700_000_000_000_000_000),
    m.GetBalance(),
    m.Balance(-5, 1_000_000),
    m.Heartbeat(0, 1, [(0, 0.25), (65_535, 0.75)]),
    m.Deposit([b"receipt", b""]),
    m.Odds(0, 1, 0, struct.pack("<2f", 0.25, 0.75), struct.pack("<2f", 0.5, 0.5)),
    m.Request(DOWNLOAD, 1, [(0, 0, 256), (2**24 - 1, 255, 1)], b"order", True),
    m.Refusal(DOWNLOAD, "busy"),
    m.Receipt(DOWNLOAD, TO, 262_144, 1, KEY),
    m.Done(DOWNLOAD),
    m.Queued(DOWNLOAD, 3_000_000_000),
    m.GetStanding(),
    m.Standing(0.125),
    m.Sell(MANIFEST, 2_500_000),
    m.Buy(1),
    m.Licensed(1, 2_500_000),
    m.GetOffers(5),
    m.Offers([m.Offer(1, TO, 2_500_000, True)], 1_000_000, 0.25),
)


def frame_of(message, *, seq=7, board=300):
    if type(message) in m.SIGNED:
        return wire.encode_signed(message, to=TO, seq=seq, board=board, identity=SIGNER)
    return wire.encode_tagged(message, sender=SIGNER.node, to=TO, epoch=2, seq=seq, board=board, key=KEY)


def opened(frame):
    header = wire.peek(frame)
    if header.type in m.SIGNED:
        return wire.open_signed(frame, SIGNER.sign_key)
    wire.prove_tag(frame, header, key=KEY)
    return wire.decode_body(header)


def kind_of(call, *args, **kwargs):
    with pytest.raises(BadFrame) as caught:
        call(*args, **kwargs)
    return caught.value.kind


def proof_bytes(frame):
    return 64 if frame[0] == wire.SIGNED else 16


def retagged(array):
    """Return a frame with any content at all that is well tagged as far as its type has a tag."""
    payload = bytes([wire.TAGGED]) + msgpack.packb(array)
    number = array[1] if isinstance(array[1], int) and 0 <= array[1] < len(m.TYPES) else 0
    return payload + wire._tag(payload, KEY, number=number)


def header_with(**changes):
    fields = {"version": 1, "number": 3, "sender": SIGNER.node, "to": TO, "epoch": 2, "seq": 7, "board": 0, "body": []}
    return list((fields | changes).values())


# -- every message ------------------------------------------------------------------------------------------------------


def test_there_is_a_sample_of_every_type_in_order():
    assert tuple(type(sample) for sample in SAMPLES) == m.TYPES


@pytest.mark.parametrize("message", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_a_message_round_trips_and_an_independent_decoder_reads_the_same(message):
    frame = frame_of(message)
    assert opened(frame) == message
    header = wire.peek(frame)
    assert (header.sender, header.to, header.epoch, header.seq, header.board) == (SIGNER.node, TO, 2, 7, 300)
    array = msgpack.unpackb(frame[1 : -proof_bytes(frame)])
    assert array[:7] == [1, m.TYPES.index(type(message)), SIGNER.node, TO, 2, 7, 300]
    assert array[7] == msgpack.unpackb(msgpack.packb(msgspec.to_builtins(message, builtin_types=(bytes,))))


def test_every_frame_has_the_golden_bytes_of_its_version():
    golden = dict(line.split() for line in GOLDEN.read_text().splitlines())
    flow = blocks.flow_id(DOWNLOAD, TO)
    block = blocks.encode_block(blocks.block_digest(KEY), flow, b"data", piece=2, block=3)
    frames = {type(sample).__name__: frame_of(sample).hex() for sample in SAMPLES} | {"block": block.hex()}
    assert frames == golden


# -- checks before any proof --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"", "malformed"),
        (b"\x02", "malformed"),
        (b"\x00" * 40, "malformed"),
        (b"\x04" * 40, "malformed"),
        (b"\x02" + b"\xc0" * 40, "malformed"),
        (bytes([wire.TAGGED]) + bytes(MAX_FRAME_BYTES), "oversized"),
        (retagged(header_with(version=2)), "version"),
        (retagged(header_with(version=2)[:5]), "version"),
        (retagged(header_with(number=len(m.TYPES))), "unknown-type"),
        (retagged(header_with(number=-1)), "malformed"),
        (retagged(header_with(number=2**64 - 1)), "unknown-type"),
        (retagged(header_with(sender=b"short")), "malformed"),
        (retagged(header_with(sender="textual!")), "malformed"),
        (retagged(header_with(epoch=-1)), "malformed"),
        (retagged(header_with(seq=2**63)), "malformed"),
        (retagged(header_with(seq=1.5)), "malformed"),
        (retagged(header_with()[:7]), "malformed"),
        (retagged(header_with(number=m.TYPES.index(m.Receipt))), "wrong-kind"),
    ],
)
def test_a_bad_header_is_refused_by_its_kind(frame, kind):
    assert kind_of(wire.peek, frame) == kind


def test_an_unsigned_type_is_not_accepted_with_a_signature():
    assert kind_of(wire.peek, wire.encode_signed(m.Ok(), to=TO, seq=0, board=0, identity=SIGNER)) == "wrong-kind"


@pytest.mark.parametrize("body", [None, [], ["x"], [1], [1, 2, 3, 4, 5], {"a": 1}, [[0, "x"]], "text", [2**40, True]])
def test_a_well_tagged_body_of_the_wrong_shape_is_malformed(body):
    assert kind_of(opened, retagged(header_with(number=m.TYPES.index(m.Hold), body=body))) == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * 100_000,
        b"\x91\xdd\xff\xff\xff\xff",
        b"\x91\xc6\xff\xff\xff\xff",
        b"\x92\xa2\xff\xff\xa0",
        b"\x92\xd9\xffshort",
        b"\x92\xc7\x01\x05x\xa0",
        b"\xc1",
        b"",
    ],
    ids=["deep", "huge-array", "huge-bytes", "bad-utf8", "short-text", "extension", "reserved", "nothing"],
)
def test_hostile_messagepack_is_malformed(body):
    head = msgpack.packb(header_with(number=m.TYPES.index(m.Reject)))[:-1]
    payload = bytes([wire.TAGGED]) + head + body
    frame = payload + wire._tag(payload, KEY, number=m.TYPES.index(m.Reject))
    assert kind_of(opened, frame) == "malformed"


def test_a_datagram_type_above_the_datagram_limit_is_oversized_in_and_our_fault_out():
    room = wire.MAX_DATAGRAM_BYTES - len(frame_of(m.Deposit([b""]))) - 1  # a longer length field
    assert len(frame_of(m.Deposit([bytes(room)]))) == wire.MAX_DATAGRAM_BYTES == 1188
    with pytest.raises(LocalProtocolError):
        frame_of(m.Deposit([bytes(room + 1)]))
    body = msgspec.to_builtins(m.Deposit([bytes(room + 1)]), builtin_types=(bytes,))
    assert (
        kind_of(wire.peek, retagged(header_with(number=m.TYPES.index(m.Deposit), body=body, board=300))) == "oversized"
    )


def test_a_frame_above_the_frame_limit_is_our_fault():
    with pytest.raises(LocalProtocolError):
        frame_of(m.Manifest("big", 0, [KEY] * 31_000, KEY))


def test_a_request_that_shows_a_real_order_fits_a_datagram():
    order = frame_of(SAMPLES[m.TYPES.index(m.Order)], board=2**40)
    runs = [(2**24 - 1, 255, 256)] * 64
    assert len(frame_of(m.Request(DOWNLOAD, 65_535, runs, order), seq=2**40, board=2**40)) <= wire.MAX_DATAGRAM_BYTES


# -- proofs -------------------------------------------------------------------------------------------------------------


def test_a_tag_or_signature_of_one_type_does_not_hold_for_another():
    frame = frame_of(m.Ok())
    other = frame.replace(bytes([m.TYPES.index(m.Ok)]), bytes([m.TYPES.index(m.Leave)]), 1)
    assert wire.peek(other).type is m.Leave
    assert kind_of(opened, other) == "forged"


def test_a_signed_frame_needs_the_senders_own_key():
    stranger = Identity(b"s" * 32, epoch=2)
    frame = frame_of(SAMPLES[m.TYPES.index(m.Receipt)])
    assert kind_of(wire.open_signed, frame, stranger.sign_key) == "forged"
    assert kind_of(wire.open_signed, frame, b"short") == "forged"
    assert kind_of(wire.open_signed, frame_of(m.Ok()), SIGNER.sign_key) == "wrong-kind"


def test_unverified_reads_without_any_key():
    forged = frame_of(m.Hold(9, False))[:-1] + b"?"
    assert wire.unverified(forged) == m.Hold(9, False)


# -- hostile bytes ------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_random_bytes_raise_bad_frame_only(data):
    for lead in (b"", bytes([wire.TAGGED, 0x98, 1]), bytes([wire.SIGNED, 0x98, 1])):
        kind_of(opened, lead + data)
        with pytest.raises(BadFrame):
            wire.unverified(lead + data)


@given(st.sampled_from(SAMPLES), st.data())
def test_a_mutated_frame_raises_bad_frame_only(message, data):
    frame = bytearray(frame_of(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    mutated = bytes(frame)
    if mutated == frame_of(message):
        assert opened(mutated) == message
    else:
        assert kind_of(opened, mutated)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.integers(0, len(m.TYPES) - 1), ANYTHING)
def test_any_well_tagged_body_decodes_or_raises_bad_frame(number, body):
    frame = retagged(header_with(number=number, body=body))
    try:
        message = opened(frame)
    except BadFrame:
        return
    assert type(message) is m.TYPES[number]
    assert opened(frame_of(message)) == message


def test_bad_frames_can_be_counted_by_kind():
    dropped = Counter()
    for frame in (b"", retagged(header_with(version=9)), frame_of(m.Ok())[:-1] + b"\x00", b"\x02", b"\x02" + bytes(40)):
        dropped[kind_of(opened, frame)] += 1
    assert dropped == {"malformed": 3, "version": 1, "forged": 1}
