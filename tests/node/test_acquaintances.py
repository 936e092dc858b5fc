"""Sessions between nodes: strangers need an order, later boots replace earlier ones, both directions share one session."""

from __future__ import annotations

import pytest

from netem.errors import BadFrame
from node.acquaintances import Acquaintances
from tracker import messages as m
from tracker.identity import Identity
from tracker.session import BOARDS_KEPT, Session
from tracker.wire import encode_signed, peek

TRACKER = Identity(bytes([7]) * 32, epoch=1)
HERE = Identity(bytes([8]) * 32, epoch=4)
D, E = b"d" * 16, b"e" * 16


def somebody(number=1, *, epoch=1):
    return Identity(bytes([number]) * 32, epoch=epoch)


def with_us(who):
    """Return `who`'s side of a session with us."""
    return Session(
        who, peer=HERE.node, peer_sign_key=HERE.sign_key, peer_exchange_key=HERE.exchange_key, peer_epoch=HERE.epoch
    )


def order(who, download=D, *, signer=TRACKER, downloader=None):
    word = m.Order(download, 0, downloader or who.node, who.sign_key, who.exchange_key, who.epoch, 10**18)
    return encode_signed(word, identity=signer, to=m.EVERYBODY, seq=0, board=0)


def request(shown=b"", download=D):
    return m.Request(download, 0, [(0, 0, 1)], shown)


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def here():
    return Acquaintances(HERE, tracker_key=TRACKER.sign_key)


def introduce(ours, frame, *, board=0):
    return ours.open_request(frame, peek(frame), board=board)


def as_server(who):
    return m.Server(who.node, who.sign_key, who.exchange_key, who.epoch, "h", 1)


def test_a_stranger_with_an_order_is_known_from_then_on():
    ours, who = here(), somebody()
    theirs = with_us(who)
    asked, shown, session = introduce(ours, theirs.seal(request(order(who)), board=0))
    assert (asked.download, shown.download, session.peer) == (D, D, who.node)
    asked, shown, again = introduce(ours, theirs.seal(request(), board=0))
    assert (asked.download, shown) == (D, None)
    assert again is session
    done = theirs.seal(m.Done(D), board=0)
    assert ours.open(done, peek(done), board=0) == m.Done(D)
    assert theirs.open(session.seal(m.Refusal(D, "expired"), board=0), board=0) == m.Refusal(D, "expired")


def test_a_server_that_the_tracker_named_shares_the_session_of_its_own_downloads():
    ours, who = here(), somebody()
    _, _, session = introduce(ours, with_us(who).seal(request(order(who)), board=0))
    assert ours.of_server(as_server(who)) is session


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("unknown-sender", lambda who: with_us(who).seal(request(), board=0)),
        ("unknown-sender", lambda who: with_us(who).seal(m.Done(D), board=0)),
        ("forged", lambda who: with_us(who).seal(request(order(who, signer=somebody(9))), board=0)),
        ("forged", lambda who: with_us(who).seal(request(flipped(order(who))), board=0)),
        ("forged", lambda who: flipped(with_us(who).seal(request(order(who)), board=0))),
        ("misdirected", lambda who: with_us(who).seal(request(order(somebody(2))), board=0)),
        ("misdirected", lambda who: with_us(who).seal(request(order(who, E)), board=0)),
        ("unexpected", lambda who: with_us(who).seal(request(order(who, downloader=bytes(8))), board=0)),
        ("malformed", lambda who: with_us(who).seal(request(b"no order"), board=0)),
        ("expired", lambda who: with_us(who).seal(request(order(who)), board=0)),
    ],
)
def test_a_bad_first_request_is_refused_by_kind_and_a_good_one_still_gets_in(kind, make):
    ours, who = here(), somebody()
    with pytest.raises(BadFrame) as caught:
        introduce(ours, make(who), board=BOARDS_KEPT + 1 if kind == "expired" else 0)
    assert caught.value.kind == kind
    later = with_us(who)
    for _ in range(5):
        later.seal(request(), board=0)  # the bad one may have used up a number
    assert introduce(ours, later.seal(request(order(who)), board=0))[0].download == D


def test_something_that_the_tracker_signed_but_is_no_order_is_refused():
    ours, who = here(), somebody()
    odds = m.Odds(0, 1, 0, b"", b"")
    signed = encode_signed(odds, identity=TRACKER, to=m.EVERYBODY, seq=0, board=0)
    with pytest.raises(BadFrame) as caught:
        introduce(ours, with_us(who).seal(request(signed), board=0))
    assert caught.value.kind == "unexpected"


def test_a_later_boot_replaces_an_earlier_one_and_never_the_other_way_round():
    ours, old, new = here(), somebody(epoch=1), somebody(epoch=2)
    theirs = with_us(old)
    introduce(ours, theirs.seal(request(order(old)), board=0))
    introduce(ours, with_us(new).seal(request(order(new, E), E), board=0))
    for late, kind in ((request(), "unknown-sender"), (request(order(old)), "wrong-epoch")):
        with pytest.raises(BadFrame) as caught:
            introduce(ours, theirs.seal(late, board=0))
        assert caught.value.kind == kind
    assert ours.of_server(as_server(old)).peer_epoch == 2


def test_a_server_named_under_a_later_boot_gets_a_new_session():
    ours = here()
    first = ours.of_server(as_server(somebody(epoch=1)))
    second = ours.of_server(as_server(somebody(epoch=2)))
    assert second is not first
    assert ours.of_server(as_server(somebody(epoch=2))) is second
