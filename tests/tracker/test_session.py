"""Sessions: what one end seals the other opens, once, and nobody else's bytes get through."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.errors import BadFrame
from tracker import messages as m
from tracker import wire
from tracker.identity import Identity
from tracker.session import BOARDS_KEPT, Session, open_broadcast, open_join, seal_broadcast

ALICE = Identity(b"a" * 32, epoch=1)
BOB = Identity(b"b" * 32, epoch=4)
EVE = Identity(b"e" * 32, epoch=1)
RECEIPT = m.Receipt(bytes(16), BOB.node, 1000, 1, bytes(32))
PAGE = m.Odds(0, 1, 0, b"", b"")


def between(me, peer):
    return Session(
        me,
        peer=peer.node,
        peer_sign_key=peer.sign_key,
        peer_exchange_key=peer.exchange_key,
        peer_epoch=peer.epoch,
    )


def pair():
    return between(ALICE, BOB), between(BOB, ALICE)


def kind_of(call, *args, **kwargs):
    with pytest.raises(BadFrame) as caught:
        call(*args, **kwargs)
    return caught.value.kind


@pytest.mark.parametrize("message", [m.Hold(3, True), RECEIPT, m.Leave(), m.Heartbeat(0, 1, [(2, 0.25)])])
def test_what_one_end_seals_the_other_opens_once(message):
    alice, bob = pair()
    frame = alice.seal(message, board=7)
    assert bob.open(frame, board=7) == message
    assert kind_of(bob.open, frame, board=7) == "replayed"


def test_frames_open_out_of_order_in_both_directions():
    alice, bob = pair()
    frames = [alice.seal(m.Hold(i, True), board=0) for i in range(20)]
    assert [bob.open(frame, board=0).index for frame in reversed(frames)] == list(reversed(range(20)))
    assert alice.open(bob.seal(m.Ok(), board=0), board=0) == m.Ok()


def test_a_frame_cannot_be_reflected_or_sent_on_to_another():
    alice, bob = pair()
    frame = alice.seal(m.Ok(), board=0)
    assert kind_of(alice.open, frame, board=0) == "misdirected"
    assert kind_of(between(EVE, ALICE).open, frame, board=0) == "misdirected"
    assert kind_of(between(BOB, EVE).open, frame, board=0) == "misdirected"
    assert bob.open(frame, board=0) == m.Ok()


def test_a_frame_of_another_boot_is_refused():
    _, bob = pair()
    reborn = between(Identity(b"a" * 32, epoch=2), BOB)
    assert kind_of(bob.open, reborn.seal(m.Ok(), board=0), board=0) == "wrong-epoch"


def test_a_frame_many_boards_old_is_expired_whatever_the_clocks():
    alice, bob = pair()
    frame = alice.seal(m.Ok(), board=5)
    assert kind_of(bob.open, frame, board=5 + BOARDS_KEPT + 1) == "expired"
    assert bob.open(frame, board=5 + BOARDS_KEPT) == m.Ok()


def forged_tag(seq):
    return wire.encode_tagged(m.Ok(), sender=ALICE.node, to=BOB.node, epoch=1, seq=seq, board=0, key=bytes(32))


def test_a_forger_cannot_move_the_replay_window():
    alice, bob = pair()
    assert kind_of(bob.open, forged_tag(2**60), board=0) == "forged"
    assert kind_of(bob.open, forged_tag(0), board=0) == "forged"
    assert bob.open(alice.seal(m.Ok(), board=0), board=0) == m.Ok()


def test_somebody_elses_signature_is_forged():
    _, bob = pair()
    frame = wire.encode_signed(RECEIPT, to=BOB.node, seq=0, board=0, identity=EVE)
    assert kind_of(bob.open, frame.replace(EVE.node, ALICE.node, 1), board=0) == "forged"


def test_a_receipt_that_was_forwarded_opens_with_the_signers_key_alone():
    alice, _ = pair()
    frame = alice.seal(RECEIPT, board=0)
    assert wire.open_signed(frame, ALICE.sign_key) == RECEIPT
    assert kind_of(wire.open_signed, frame, EVE.sign_key) == "forged"


def test_an_id_that_is_not_the_keys_hash_makes_no_session():
    args = {"peer_sign_key": EVE.sign_key, "peer_exchange_key": EVE.exchange_key, "peer_epoch": 1}
    assert kind_of(Session, ALICE, peer=BOB.node, **args) == "forged"


@settings(max_examples=150)
@given(at=st.integers(0, 10_000), xor=st.integers(1, 255), cut=st.booleans())
def test_every_damaged_frame_is_refused_with_a_kind_and_harms_nothing(at, xor, cut):
    alice, bob = pair()
    for message in (m.Heartbeat(0, 1, [(2, 0.25)]), RECEIPT):
        frame = alice.seal(message, board=3)
        at %= len(frame)
        bad = frame[:at] if cut else frame[:at] + bytes([frame[at] ^ xor]) + frame[at + 1 :]
        assert kind_of(bob.open, bad, board=3)
        assert bob.open(frame, board=3) == message


# -- joins and broadcasts -----------------------------------------------------------------------------------------------


def a_join(who, key=None):
    join = m.Join(key or who.sign_key, who.exchange_key, "h", 1, 1.0)
    return wire.encode_signed(join, to=m.EVERYBODY, seq=0, board=0, identity=who)


def test_a_join_opens_with_the_key_it_brings():
    header, join = open_join(a_join(ALICE))
    assert (header.sender, header.epoch, join.sign_key) == (ALICE.node, 1, ALICE.sign_key)


def test_a_join_under_somebody_elses_key_is_forged_and_nothing_else_introduces():
    assert kind_of(open_join, a_join(EVE, key=ALICE.sign_key)) == "forged"
    assert kind_of(open_join, pair()[0].seal(RECEIPT, board=0)) == "unexpected"


def test_a_good_signature_under_somebody_elses_id_is_forged():
    impostor = Identity(b"e" * 32, epoch=1)
    impostor.node = ALICE.node
    assert kind_of(open_join, a_join(impostor)) == "forged"
    frame = wire.encode_signed(RECEIPT, to=BOB.node, seq=0, board=0, identity=impostor)
    assert kind_of(wire.open_signed, frame, EVE.sign_key) == "forged"


def test_a_broadcast_opens_at_everybody_and_as_often_as_it_comes():
    frame = seal_broadcast(PAGE, board=9, identity=ALICE)
    assert frame == seal_broadcast(PAGE, board=9, identity=ALICE)
    assert [open_broadcast(frame, ALICE.sign_key) for _ in range(2)] == [(9, PAGE)] * 2
    assert kind_of(open_broadcast, frame, EVE.sign_key) == "forged"


def test_a_broadcast_is_no_frame_of_a_session_and_the_other_way_round():
    alice, bob = pair()
    assert kind_of(bob.open, seal_broadcast(PAGE, board=9, identity=ALICE), board=9) == "misdirected"
    assert kind_of(open_broadcast, alice.seal(PAGE, board=9), ALICE.sign_key) == "misdirected"
    order = m.Order(bytes(16), 0, BOB.node, BOB.sign_key, BOB.exchange_key, 1, 5)
    to_all = wire.encode_signed(order, to=m.EVERYBODY, seq=0, board=0, identity=ALICE)
    assert kind_of(open_broadcast, to_all, ALICE.sign_key) == "unexpected"
    mislabelled = wire.encode_signed(PAGE, to=m.EVERYBODY, seq=1, board=9, identity=ALICE)
    assert kind_of(open_broadcast, mislabelled, ALICE.sign_key) == "malformed"
