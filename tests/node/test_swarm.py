"""A download from simulated servers: what it asks for, whom it blames, and that it ends whole."""

from __future__ import annotations

from heapq import heappop

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.swarm import Progress, Swarm
from tests.node.simulated_swarm import KB, OTHER, RTT_S, S, World, content, manifest_of
from tracker.messages import BLOCK_BYTES, PIECE_BYTES


def test_requests_are_few():
    world = World(8 * PIECE_BYTES, [100 * KB] * 4)
    world.run()
    assert world.requested < 8 * 256 / 5


def test_reordering_is_not_taken_for_loss():
    world = World(8 * PIECE_BYTES, [100 * KB, 100 * KB], jitter_ns=100_000_000)
    assert world.run() <= 1.2 * 8 * PIECE_BYTES / (200 * KB) + 2 * 0.2
    assert world.duplicates < 0.1


def test_a_dead_server_does_not_stop_the_download():
    world = World(3 * PIECE_BYTES, [50 * KB] * 4, dead=[b"\x00" * 7 + b"\x01"])
    assert world.run() <= 1.2 * 3 * PIECE_BYTES / (150 * KB) + 1.0


def test_a_server_busy_with_an_older_download_is_waited_for():
    world = World(PIECE_BYTES, [100 * KB])
    server = next(iter(world.rates))
    world.on_request(server, [(0, 0, 256)], False, OTHER)
    # The older download takes 2.62 s; silence until then must not cost more than one backed-off timeout and few copies.
    assert world.run() <= 2.62 + 2.62 + 0.3
    assert world.duplicates < 0.05


def test_a_server_that_turns_to_an_older_download_counts_again_once_it_says_so():
    world = World(8 * PIECE_BYTES, [50 * KB] * 2)
    server = next(iter(world.rates))
    world.at(1 * S, world.on_request, server, [(0, 0, 256)], False, OTHER)
    # Silent first, then known to be busy: at every look the world checks that the sum of the rates is right.
    assert world.run() <= 1.2 * (8 + 1) * PIECE_BYTES / (100 * KB) + 2 * RTT_S


def test_a_server_that_leaves_hands_its_blocks_on_at_once():
    world = World(4 * PIECE_BYTES, [50 * KB] * 4)
    gone = next(iter(world.rates))

    def leave():
        world.dead.add(gone)
        world.swarm.remove_server(gone)
        world.check()

    world.at(2 * S, leave)
    assert world.run() <= 2.0 + (4 * PIECE_BYTES - 2 * 200 * KB) / (150 * KB) * 1.2 + 2 * RTT_S
    assert gone not in [ask.server for ask in world.swarm.requests(world.now_ns)]


def test_a_server_that_sends_a_wrong_piece_alone_is_banned_and_stays_banned():
    bad = b"\x00" * 7 + b"\x01"
    world = World(20 * PIECE_BYTES, [100 * KB] * 3, bad=[bad])
    world.run()
    assert set(world.swarm.banned) == {bad}
    assert bad not in world.swarm.totals
    world.swarm.add_server(bad)
    assert world.swarm.on_block(bad, 0, 0, data=bytes(BLOCK_BYTES), now_ns=0) is Progress.IGNORED
    assert world.swarm.ignored["banned"] >= 1


@pytest.mark.parametrize(("n_bad", "limit_s"), [(1, 10.5), (3, 2 * 10.5)])
def test_wrong_blocks_in_a_mixed_piece_are_traced_to_their_senders(n_bad, limit_s):
    bad = [i.to_bytes(8, "big") for i in range(2, 2 + n_bad)]
    world = World(PIECE_BYTES, [25 * KB] * 10, bad=bad)
    # Alone, a server would take 10.5 s for the piece.
    assert world.run() < limit_s
    assert world.swarm.banned
    assert set(world.swarm.banned) <= set(bad)


def test_only_bad_servers_never_finish_and_a_good_one_that_joins_does():
    world = World(PIECE_BYTES, [50 * KB] * 3, bad=[i.to_bytes(8, "big") for i in range(2)])
    good = (2).to_bytes(8, "big")
    world.start()
    world.swarm.remove_server(good)
    world.at(60 * S, lambda: (world.swarm.add_server(good), world.check()))
    while not world.swarm.done:
        world.now_ns, _, action, args = heappop(world.events)
        assert world.now_ns < 80 * S
        action(*args)
    assert set(world.swarm.banned) == set(world.bad)


@pytest.mark.parametrize("size_bytes", [1, BLOCK_BYTES, BLOCK_BYTES + 1, PIECE_BYTES - 1, PIECE_BYTES + 1])
def test_short_pieces_and_blocks_arrive_whole(size_bytes):
    World(size_bytes, [50 * KB] * 3, loss=0.1).run()


def test_an_empty_file_and_one_that_is_there_already_are_done_at_once():
    assert Swarm(manifest_of(b""), shuffle=1).done
    swarm = Swarm(manifest_of(content(2 * PIECE_BYTES)[: 2 * PIECE_BYTES]), shuffle=1, have={0, 1})
    swarm.add_server(b"s")
    assert swarm.done
    assert swarm.requests(0) == []


def test_stored_pieces_are_not_fetched_again():
    data = content(3 * PIECE_BYTES)[: 3 * PIECE_BYTES]
    swarm = Swarm(manifest_of(data), shuffle=1, have=[0, 2])
    swarm.add_server(b"s")
    assert {piece for ask in swarm.requests(0) for piece, _, _ in ask.runs} == {1}


def test_different_downloaders_begin_with_different_pieces():
    firsts = set()
    for shuffle in range(8):
        swarm = Swarm(manifest_of(content(64 * PIECE_BYTES)[: 64 * PIECE_BYTES]), shuffle=shuffle)
        swarm.add_server(b"s")
        firsts.add(swarm.requests(0)[0].runs[0][0])
    assert len(firsts) > 4


def test_a_download_depends_on_its_seed_alone():
    def trace():
        world = World(2 * PIECE_BYTES, [30 * KB, 20 * KB, 10 * KB], loss=0.1)
        return world.run(), sorted(world.sent.items()), sorted(world.swarm.totals.items())

    assert trace() == trace()


def test_useless_blocks_are_counted_by_kind():
    world = World(2 * PIECE_BYTES - 1, [50 * KB])
    server = next(iter(world.rates))
    swarm = world.swarm

    def put(piece, block, n_bytes, sender=server):
        return swarm.on_block(sender, piece, block, data=bytes(n_bytes), now_ns=1)

    swarm.add_server(server)
    piece, first, _ = swarm.requests(0)[0].runs[0]
    assert put(piece, first, BLOCK_BYTES, b"stranger") is Progress.IGNORED
    assert put(piece, first, BLOCK_BYTES - 1) is Progress.IGNORED
    assert put(1, 255, BLOCK_BYTES) is Progress.IGNORED
    assert put(1 - piece, 200, BLOCK_BYTES) is Progress.IGNORED
    assert put(piece, first, BLOCK_BYTES) is Progress.KEPT
    assert put(piece, first, BLOCK_BYTES) is Progress.IGNORED
    assert swarm.ignored == {"unknown-server": 1, "wrong-size": 2, "unrequested": 2}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c"]),
            st.integers(-3, 2**30),
            st.integers(-3, 2**20),
            st.integers(0, 1_100),
        )
    )
)
def test_no_hostile_block_raises_or_is_kept(blocks):
    swarm = Swarm(manifest_of(content(2 * PIECE_BYTES)[: 2 * PIECE_BYTES]), shuffle=1)
    swarm.add_server(b"a")
    swarm.add_server(b"b")
    for now_ns, (server, piece, block, n_bytes) in enumerate(blocks):
        progress = swarm.on_block(server, piece, block, data=bytes(n_bytes), now_ns=now_ns)
        assert progress is Progress.IGNORED  # nothing was asked
    assert sum(swarm.ignored.values()) == len(blocks)


@settings(max_examples=25, deadline=None)
@given(
    size_bytes=st.integers(1, 2 * PIECE_BYTES),
    rates=st.lists(st.integers(5, 100), min_size=1, max_size=6),
    loss=st.floats(0.0, 0.4),
    jitter_ms=st.integers(0, 80),
    n_bad=st.integers(0, 3),
    run_seed=st.integers(0, 100),
)
def test_any_mix_of_loss_reordering_and_bad_servers_ends_whole_and_blames_only_the_bad(
    *, size_bytes, rates, loss, jitter_ms, n_bad, run_seed
):
    bad = [i.to_bytes(8, "big") for i in range(min(n_bad, len(rates) - 1))]
    rates_bytes_per_s = [rate * KB for rate in rates]
    world = World(size_bytes, rates_bytes_per_s, loss=loss, jitter_ns=jitter_ms * 1_000_000, bad=bad, run_seed=run_seed)
    world.run()
    assert set(world.swarm.banned) <= set(bad)
