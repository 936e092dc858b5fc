"""Membership: newer boots replace older ones, heartbeats bring splits, the silent expire."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import Rejection, RemoteProtocolError
from tracker.identity import Identity
from tracker.membership import Membership
from tracker.messages import MAX_FILES, Heartbeat, Join


def a_join(number=1, *, epoch=1, upload=100.0, host="h"):
    who = Identity(bytes([number]) * 32, epoch=epoch)
    return Join(who.sign_key, who.exchange_key, host, 1, upload)


def node_of(number):
    return Identity(bytes([number]) * 32, epoch=0).node


def joined(number=1, *, epoch=1, now_ns=0):
    membership = Membership()
    membership.join(a_join(number, epoch=epoch), epoch=epoch, now_ns=now_ns)
    return membership


def test_a_member_is_known_by_the_hash_of_its_key_and_members_are_sorted():
    membership = Membership()
    for number in (3, 1, 2):
        assert membership.join(a_join(number), epoch=1, now_ns=0).node == node_of(number)
    assert [member.node for member in membership.members()] == sorted(node_of(n) for n in (1, 2, 3))
    assert membership.get(node_of(9)) is None


def test_a_higher_epoch_replaces_the_earlier_boot_and_a_lower_one_is_refused():
    membership = joined(epoch=2)
    membership.heartbeat(node_of(1), Heartbeat(0, 1, [(0, 1.0)]), 0, held=range(MAX_FILES))
    membership.join(a_join(epoch=3), epoch=3, now_ns=5)
    (member,) = membership.members()
    assert (member.epoch, member.split, member.seen_ns) == (3, {}, 5)
    with pytest.raises(Rejection) as caught:
        membership.join(a_join(epoch=2), epoch=2, now_ns=6)
    assert caught.value.reason == "stale-epoch"
    assert membership.members() == [member]


def test_the_same_boot_may_join_again_and_keeps_its_split():
    membership = joined(epoch=2)
    membership.heartbeat(node_of(1), Heartbeat(0, 1, [(4, 0.5)]), 0, held=range(MAX_FILES))
    assert membership.join(a_join(epoch=2), epoch=2, now_ns=7).split == {4: 1.0}
    assert membership.expire(100, after_ns=50) == [node_of(1)]
    assert membership.join(a_join(epoch=2), epoch=2, now_ns=101).split == {}


def test_another_boot_under_the_same_epoch_is_refused():
    membership = joined(epoch=2)
    with pytest.raises(Rejection):
        membership.join(a_join(epoch=9), epoch=2, now_ns=0)


def test_a_boot_that_left_cannot_be_replayed_back_in():
    membership = joined(epoch=2)
    membership.leave(node_of(1))
    membership.leave(node_of(1))
    assert membership.members() == []
    with pytest.raises(Rejection):
        membership.join(a_join(epoch=2), epoch=2, now_ns=0)
    assert membership.join(a_join(epoch=3), epoch=3, now_ns=0).epoch == 3


def test_an_infinite_upload_is_no_join():
    with pytest.raises(RemoteProtocolError):
        Membership().join(a_join(upload=math.inf), epoch=1, now_ns=0)


def test_only_the_silent_expire():
    membership = Membership()
    for number in (1, 2, 3):
        membership.join(a_join(number), epoch=1, now_ns=0)
    membership.heartbeat(node_of(2), Heartbeat(0, 1, []), 60, held=range(MAX_FILES))
    assert membership.expire(50, after_ns=50) == []
    assert membership.expire(100, after_ns=50) == sorted([node_of(1), node_of(3)])
    assert [member.node for member in membership.members()] == [node_of(2)]


@given(st.dictionaries(st.integers(0, 500), st.floats(0, 1), max_size=40), st.integers(1, 4))
def test_a_split_is_normalised_over_its_pages(raw, pages):
    total = math.fsum(raw.values())
    bids = sorted((file, share / total if total else 0.0) for file, share in raw.items())
    membership = joined()
    for page in range(pages):
        membership.heartbeat(node_of(1), Heartbeat(page, pages, bids[page::pages]), 0, held=range(MAX_FILES))
    split = membership.get(node_of(1)).split
    assert set(split) == {file for file, share in bids if share > 0}
    assert math.fsum(split.values()) == pytest.approx(1 if split else 0)
    assert list(split) == sorted(split)


def test_a_split_holds_only_once_all_its_pages_came():
    membership = joined()
    node = node_of(1)
    membership.heartbeat(node, Heartbeat(0, 1, [(0, 1.0)]), 0, held=range(MAX_FILES))
    membership.heartbeat(node, Heartbeat(1, 2, [(7, 0.5)]), 0, held=range(MAX_FILES))
    assert membership.get(node).split == {0: 1.0}
    membership.heartbeat(node, Heartbeat(0, 2, [(3, 0.5)]), 0, held=range(MAX_FILES))
    assert membership.get(node).split == {3: 0.5, 7: 0.5}


@pytest.mark.parametrize(
    "beat",
    [
        Heartbeat(1, 1, []),
        Heartbeat(0, 1, [(1, 0.5), (1, 0.5)]),
        Heartbeat(0, 1, [(1, 0.6), (2, 0.5)]),
        Heartbeat(0, 1, [(1, math.nan)]),
    ],
)
def test_bad_bids_change_nothing(beat):
    membership = joined()
    with pytest.raises(RemoteProtocolError) as caught:
        membership.heartbeat(node_of(1), beat, 50, held=range(MAX_FILES))
    assert caught.value.kind == "bad-bids"
    member = membership.get(node_of(1))
    assert (member.split, member.seen_ns) == ({}, 0)


def test_a_heartbeat_of_a_stranger_is_counted_as_such():
    with pytest.raises(RemoteProtocolError) as caught:
        Membership().heartbeat(node_of(1), Heartbeat(0, 1, []), 0, held=range(MAX_FILES))
    assert caught.value.kind == "unknown-node"


def test_only_the_boot_that_is_here_is_a_current_member():
    membership = joined(epoch=2)
    assert membership.current(node_of(1), epoch=2).node == node_of(1)
    for node, epoch in ((node_of(1), 1), (node_of(1), 3), (node_of(2), 2)):
        with pytest.raises(RemoteProtocolError) as fault:
            membership.current(node, epoch=epoch)
        assert fault.value.kind == "not-a-member"
