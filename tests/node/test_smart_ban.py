from hypothesis import given
from hypothesis import strategies as st

from node.smart_ban import Suspects

RIGHT = [bytes([i]) * 4 for i in range(6)]


def tried(senders, wrong=()):
    return [b"bad!" if sender in wrong else block for sender, block in zip(senders, RIGHT, strict=True)]


def test_only_those_whose_blocks_differ_from_the_verified_piece_are_guilty():
    suspects = Suspects()
    senders = [b"a", b"b", b"c", b"a", b"b", b"c"]
    suspects.failed(senders, tried(senders, wrong=[b"c"]))
    assert suspects.guilty(RIGHT) == [b"c"]


def test_without_a_difference_nobody_is_blamed():
    suspects = Suspects()
    assert suspects.guilty(RIGHT) == []
    suspects.failed([b"a"] * 6, RIGHT)
    assert suspects.guilty(RIGHT) == []


@given(st.integers(1, 20), st.data())
def test_the_groups_come_down_to_every_server_alone(n_servers, data):
    servers = [bytes([i]) for i in range(n_servers)]
    bad = data.draw(st.sets(st.sampled_from(servers), max_size=n_servers - 1))
    suspects = Suspects()
    groups = []
    while not groups or groups[-1] & bad:
        suspects.regroup(servers)
        groups.append(suspects.group)
        assert groups[-1]
        assert groups[-1] <= set(servers)
        assert len(groups) <= 4 * n_servers  # halves, quarters, ... and each one alone
    assert len(groups) <= 2 or len(bad) > 1


def test_a_group_whose_servers_are_gone_is_skipped():
    suspects = Suspects()
    suspects.regroup([b"a", b"b", b"c", b"d"])
    assert suspects.group == {b"a", b"c"}
    suspects.regroup([b"a"])
    assert suspects.group == {b"a"}
