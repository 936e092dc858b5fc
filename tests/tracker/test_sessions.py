"""The tracker's sessions: who may introduce itself, which session a boot gets, whose receipts can be read."""

from __future__ import annotations

import pytest

from netem.errors import BadFrame
from tracker import messages as m
from tracker.identity import Identity
from tracker.session import Session
from tracker.sessions import Sessions
from tracker.wire import encode_signed

TRACKER = Identity(bytes([9]) * 32, epoch=1)


def somebody(number=1, *, epoch=1):
    return Identity(bytes([number]) * 32, epoch=epoch)


def hello(who, *, to=TRACKER.node, exchange_key=None):
    join = m.Join(who.sign_key, exchange_key or who.exchange_key, "h", 1, 1.0)
    return encode_signed(join, identity=who, to=to, seq=0, board=0)


def admitted(sessions, who):
    join, session = sessions.meet(hello(who))
    sessions.keep(session, sign_key=join.sign_key)
    return session


def kind(action, *args):
    with pytest.raises(BadFrame) as caught:
        action(*args)
    return caught.value.kind


def test_both_ends_of_a_new_session_understand_each_other():
    sessions, who = Sessions(TRACKER), somebody()
    session = admitted(sessions, who)
    theirs = Session(
        who, peer=TRACKER.node, peer_sign_key=TRACKER.sign_key, peer_exchange_key=TRACKER.exchange_key, peer_epoch=1
    )
    assert sessions.of(who.node) is session
    assert session.open(theirs.seal(m.GetBalance(), board=0), board=0) == m.GetBalance()


def test_a_session_is_not_known_before_it_is_kept_nor_after_it_is_forgotten():
    sessions, who = Sessions(TRACKER), somebody()
    sessions.meet(hello(who))
    assert kind(sessions.of, who.node) == "unknown-sender"
    admitted(sessions, who)
    sessions.forget(who.node)
    assert kind(sessions.of, who.node) == "unknown-sender"


def test_the_same_boot_keeps_its_session_and_a_later_one_gets_a_new_one():
    sessions = Sessions(TRACKER)
    first = admitted(sessions, somebody(epoch=1))
    assert admitted(sessions, somebody(epoch=1)) is first
    second = admitted(sessions, somebody(epoch=2))
    assert second is not first
    assert sessions.of(somebody().node) is second


@pytest.mark.parametrize(
    ("why", "frame"),
    [
        ("malformed", b""),
        ("forged", hello(somebody())[:-1] + b"\xff"),
        ("misdirected", hello(somebody(), to=bytes(8))),
        ("bad-key", hello(somebody(), exchange_key=bytes(32))),
        ("unexpected", encode_signed(m.Close(bytes(16), []), identity=somebody(), to=TRACKER.node, seq=0, board=0)),
    ],
)
def test_a_bad_introduction_is_refused_by_kind(why, frame):
    assert kind(Sessions(TRACKER).meet, frame) == why


def test_receipts_are_read_of_whoever_ever_joined_even_after_it_left():
    sessions, who, server = Sessions(TRACKER), somebody(1), somebody(2)
    receipt = m.Receipt(bytes(16), server.node, 10, 1, bytes(32))
    frame = encode_signed(receipt, identity=who, to=server.node, seq=0, board=0)
    assert kind(sessions.open_receipt, frame) == "unknown-sender"
    admitted(sessions, who)
    sessions.forget(who.node)
    assert sessions.open_receipt(frame) == (who.node, receipt)
    assert kind(sessions.open_receipt, frame[:-1] + b"\xff") == "forged"
    assert kind(sessions.open_receipt, hello(who)) == "unexpected"
