"""Blocks of unfinished pieces on disk: what a kill leaves, and what a bad disk can do."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from netem.randomness import keyed_generator
from node.block_log import MOST_WAITING
from node.content import make_manifest
from node.partial_file import StoreError
from node.store import Store
from node.swarm import Progress, Swarm
from tracker.messages import BLOCK_BYTES, PIECE_BYTES

A, B = b"aaaaaaaa", b"bbbbbbbb"
BLOCKS = PIECE_BYTES // BLOCK_BYTES


@pytest.fixture
def whole(tmp_path):
    """A file of 40 pieces and a bit."""
    path = tmp_path / "f"
    path.write_bytes(keyed_generator(1, "content").bytes(40 * PIECE_BYTES + 1_500))
    return path


@pytest.fixture
def manifest(whole):
    return make_manifest("f", whole)


def block_of(whole, piece, block):
    start = piece * PIECE_BYTES + block * BLOCK_BYTES
    return whole.read_bytes()[start : start + BLOCK_BYTES]


def keep(partial, whole, keys, sender=A):
    data = whole.read_bytes()
    for piece, block in keys:
        start = piece * PIECE_BYTES + block * BLOCK_BYTES
        partial.keep_block(piece, block, data=data[start : start + BLOCK_BYTES], sender=sender)


def test_a_kill_loses_at_most_a_hundredth_of_the_blocks_and_keeps_their_senders(tmp_path, whole, manifest):
    keys = [(piece, block) for block in range(100) for piece in (0, 7, 39)] + [(40, 1)]
    keep(Store(tmp_path / "s").begin(manifest), whole, keys[:150])
    second = Store(tmp_path / "s").begin(manifest)
    assert second.have == set()
    again = [(piece, block) for piece, blocks in second.blocks.items() for block in blocks]
    assert set(again) <= set(keys[:150])
    assert len(keys[:150]) - len(again) <= min(MOST_WAITING, 40 * BLOCKS // 100)
    keep(second, whole, keys[150:], sender=B)
    second.flush()
    third = Store(tmp_path / "s").begin(manifest)
    assert third.blocks[40] == {1: (B, block_of(whole, 40, 1))}
    assert {(p, b) for p, blocks in third.blocks.items() for b in blocks} == {*again, *keys[150:]}
    for piece, blocks in third.blocks.items():
        for block, (sender, data) in blocks.items():
            assert data == block_of(whole, piece, block)
            assert sender == (A if (piece, block) in again else B)


@pytest.mark.parametrize(("n_blocks", "most_lost"), [(1, 0), (99, 0), (100, 1), (599, 5)])
def test_of_a_small_file_too_a_kill_loses_at_most_a_hundredth(tmp_path, n_blocks, most_lost):
    source = tmp_path / "f"
    source.write_bytes(bytes(n_blocks * BLOCK_BYTES))
    partial = Store(tmp_path / "s").begin(make_manifest("f", source))
    most = 0
    for key in range(n_blocks):
        partial.keep_block(*divmod(key, BLOCKS), data=bytes(BLOCK_BYTES), sender=A)
        written = sum(path.stat().st_size // (BLOCK_BYTES + 14) for path in (tmp_path / "s").glob("*.blocks"))
        most = max(most, key + 1 - written)
    assert most == most_lost


def test_a_finished_piece_is_not_overwritten_by_what_waits_of_a_try_that_failed(tmp_path, whole, manifest):
    partial = Store(tmp_path / "s").begin(manifest)
    partial.keep_block(3, 5, data=b"wrong" * 204 + b"xxxx", sender=A)
    partial.write_piece(3, whole.read_bytes()[3 * PIECE_BYTES : 4 * PIECE_BYTES])
    partial.flush()
    again = Store(tmp_path / "s").begin(manifest)
    assert again.have == {3}
    assert again.blocks == {}


@pytest.mark.parametrize("torn_bytes", [1, 11])
def test_a_half_written_record_is_ignored_and_those_after_it_are_right(tmp_path, whole, manifest, torn_bytes):
    partial = Store(tmp_path / "s").begin(manifest)
    keep(partial, whole, [(1, 1), (1, 2)])
    partial.flush()
    (records,) = (tmp_path / "s").glob("*.blocks")
    with records.open("ab") as file:
        file.write(b"\0" * torn_bytes)
    second = Store(tmp_path / "s").begin(manifest)
    assert sorted(second.blocks[1]) == [1, 2]
    keep(second, whole, [(1, 3)])
    second.flush()
    assert sorted(Store(tmp_path / "s").begin(manifest).blocks[1]) == [1, 2, 3]


def test_nothing_is_left_of_the_log_when_the_file_is_whole_and_a_stale_one_is_not_believed(tmp_path, whole, manifest):
    store = Store(tmp_path / "s")
    partial = store.begin(manifest)
    keep(partial, whole, [(0, 0)])
    partial.flush()
    (records,) = (tmp_path / "s").glob("*.blocks")
    stale = records.read_bytes()
    for index in range(41):
        partial.write_piece(index, whole.read_bytes()[index * PIECE_BYTES : (index + 1) * PIECE_BYTES])
    path = partial.finish()
    assert list((tmp_path / "s").iterdir()) == [path]
    store.discard(manifest.root)
    records.write_bytes(stale)
    assert store.begin(manifest).blocks == {}


def test_a_full_disk_is_said(tmp_path, whole, manifest, monkeypatch):
    partial = Store(tmp_path / "s").begin(manifest)
    monkeypatch.setattr(partial._log, "_path", "/dev/full")
    with pytest.raises(StoreError, match="No space"):
        keep(partial, whole, itertools.product([0], range(BLOCKS - 1)))
    partial.flush()
    assert Store(tmp_path / "s").begin(manifest).blocks == {}


# -- what the swarm makes of them ------------------------------------------------------------------------------------


def fetch(swarm, whole, servers):
    """Answer all that a swarm asks; return how many blocks it kept."""
    for server in servers:
        swarm.add_server(server)
    data = whole.read_bytes()
    now_ns = kept = 0
    while not swarm.done:
        now_ns += 10_000_000
        for ask in swarm.requests(now_ns):
            for piece, first, count in ask.runs:
                for block in range(first, first + count):
                    start = piece * PIECE_BYTES + block * BLOCK_BYTES
                    bytes_ = data[start : start + BLOCK_BYTES]
                    kept += swarm.on_block(ask.server, piece, block, data=bytes_, now_ns=now_ns) > Progress.IGNORED
    return kept


@pytest.mark.parametrize("wrong", [False, True])
def test_restored_blocks_are_not_asked_again_and_nobody_is_blamed_when_one_of_them_is_wrong(whole, manifest, wrong):
    last = bytes(BLOCK_BYTES) if wrong else block_of(whole, 4, 254)
    kept = {4: {block: (A, block_of(whole, 4, block)) for block in range(254)} | {254: (b"", last)}}
    swarm = Swarm(manifest, shuffle=1, have=set(range(40)) - {4}, blocks=kept)
    assert fetch(swarm, whole, [B]) == (2 if not wrong else 2 + BLOCKS) + 1
    assert swarm.banned == {}
    found = {accepted.piece: accepted for accepted in swarm.take_finished()}
    assert hashlib.sha256(found[4].data).digest() == manifest.pieces[4]
    if wrong:
        assert found[4].sources == ((B, PIECE_BYTES),)
    else:
        # The block without a sender is nobody's.
        assert found[4].sources == ((A, 254 * BLOCK_BYTES), (B, BLOCK_BYTES))
    assert sum(swarm.totals.values()) == 1_500 + PIECE_BYTES - (0 if wrong else BLOCK_BYTES)


def test_a_wholly_restored_piece_that_was_not_verified_is_fetched_again(whole, manifest):
    kept = {0: {block: (A, bytes(BLOCK_BYTES)) for block in range(BLOCKS)}}
    swarm = Swarm(manifest, shuffle=1, have=set(range(1, 41)), blocks=kept)
    assert fetch(swarm, whole, [B]) == BLOCKS
    assert swarm.banned == {}
