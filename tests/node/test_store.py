import os
from pathlib import Path

import pytest

from netem.errors import LocalProtocolError
from node.content import make_manifest
from node.descriptors import Descriptors
from node.partial_file import StoreError
from node.store import MAX_AHEAD, Store
from tracker.messages import BLOCK_BYTES, PIECE_BYTES


def publish(tmp_path, size_bytes, name="f"):
    path = tmp_path / name
    path.write_bytes(bytes(i * 7 % 251 for i in range(1_000)) * (size_bytes // 1_000 + 1))
    os.truncate(path, size_bytes)
    return make_manifest(name, path), path


def piece_of(path, index):
    return path.read_bytes()[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]


@pytest.mark.parametrize("size_bytes", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_a_file_written_piece_by_piece_is_whole(tmp_path, size_bytes):
    manifest, source = publish(tmp_path, size_bytes)
    store = Store(tmp_path / "store")
    partial = store.begin(manifest)
    for index in reversed(range(len(manifest.pieces))):
        assert not store.holds(manifest.root)
        partial.write_piece(index, piece_of(source, index))
    whole = partial.finish()
    assert whole.read_bytes() == source.read_bytes()
    assert store.path(manifest.root) == whole
    assert store.holds(manifest.root)
    store.close()


def test_blocks_of_a_published_file_are_read_in_place(tmp_path):
    manifest, source = publish(tmp_path, 2 * PIECE_BYTES + 1_500)
    store = Store(tmp_path / "store")
    store.adopt(manifest, source)
    data = source.read_bytes()
    assert store.read_block(manifest.root, 1, 3) == data[PIECE_BYTES + 3 * BLOCK_BYTES :][:BLOCK_BYTES]
    assert store.read_block(manifest.root, 2, 1) == data[-476:]
    assert store.read_block(manifest.root, 2, 2) == store.read_block(manifest.root, 9, 0) == b""
    assert not (tmp_path / "store").exists()
    store.close()


def test_blocks_of_many_files_are_right_in_any_order_and_gone_once_discarded(tmp_path):
    store = Store(tmp_path / "store")
    sources = {}
    for number in range(2 * MAX_AHEAD):
        manifest, source = publish(tmp_path, 40_000 + number, f"f{number}")
        store.adopt(manifest, source)
        sources[manifest.root] = source.read_bytes()[number:] + bytes(number)
        source.write_bytes(sources[manifest.root])  # so that no two files have the same bytes at the same place
    for block in [*range(20), *reversed(range(45)), *range(0, 45, 7)]:
        for root, data in sources.items():
            assert store.read_block(root, 0, block) == data[block * BLOCK_BYTES :][:BLOCK_BYTES]
    for root in sources:
        store.discard(root)
        with pytest.raises(LocalProtocolError):
            store.read_block(root, 0, 0)


def test_after_a_crash_only_pieces_that_verify_count(tmp_path):
    manifest, source = publish(tmp_path, 3 * PIECE_BYTES)
    partial = Store(tmp_path / "store").begin(manifest)
    partial.write_piece(0, piece_of(source, 0))
    partial.write_piece(2, piece_of(source, 2))
    with next((tmp_path / "store").iterdir()).open("r+b") as file:
        file.seek(2 * PIECE_BYTES + 5)
        file.write(b"torn")
    again = Store(tmp_path / "store").begin(manifest)
    assert again.have == {0}
    with pytest.raises(LocalProtocolError):
        again.finish()


def test_a_reopened_store_holds_its_whole_files_only(tmp_path):
    whole, source = publish(tmp_path, 10, "whole")
    part, _ = publish(tmp_path, 20, "part")
    first = Store(tmp_path / "store")
    file = first.begin(whole)
    file.write_piece(0, piece_of(source, 0))
    file.finish()
    first.begin(part)
    again = Store(tmp_path / "store")
    assert again.holds(whole.root)
    assert not again.holds(part.root)
    with pytest.raises(LocalProtocolError):
        again.begin(whole)
    with pytest.raises(LocalProtocolError):
        again.read_block(part.root, 0, 0)


def test_a_full_disk_is_said_and_the_piece_does_not_count(tmp_path, monkeypatch):
    manifest, source = publish(tmp_path, 10)
    store = Store(tmp_path / "store")
    partial = store.begin(manifest)
    with monkeypatch.context() as patch:
        # /dev/full refuses every write like a full disk.
        patch.setattr(partial, "_path", type(source)("/dev/full"))
        with pytest.raises(StoreError, match="No space"):
            partial.write_piece(0, piece_of(source, 0))
    assert partial.have == set()
    with pytest.raises(LocalProtocolError):
        partial.write_piece(0, b"short")


def test_on_a_disk_that_is_really_full_no_half_written_piece_counts_and_the_download_goes_on_when_there_is_room(
    small_disk, tmp_path
):
    manifest, source = publish(tmp_path, 2 * PIECE_BYTES + 9)
    with small_disk(60_000) as directory:
        partial = Store(directory / "store").begin(manifest)
    with small_disk(256 + 100):
        partial.write_piece(0, piece_of(source, 0))
        with pytest.raises(StoreError, match=r"No space|too large"):
            partial.write_piece(1, piece_of(source, 1))
        assert partial.have == {0}
        with pytest.raises(LocalProtocolError):
            partial.finish()
    again = Store(directory / "store")
    assert not again.holds(manifest.root)
    partial = again.begin(manifest)
    assert partial.have == {0}
    for index in (1, 2):
        partial.write_piece(index, piece_of(source, index))
    assert partial.finish().read_bytes() == source.read_bytes()


def test_a_published_file_that_shrinks_is_told_from_one_that_ends(tmp_path):
    manifest, source = publish(tmp_path, 2 * PIECE_BYTES + 9)
    store = Store(tmp_path / "store")
    store.adopt(manifest, source)
    os.truncate(source, PIECE_BYTES + 1_500)
    assert len(store.read_block(manifest.root, 0, 240)) == BLOCK_BYTES
    for piece, block in ((1, 1), (1, 2), (2, 0)):
        with pytest.raises(StoreError, match="shorter"):
            store.read_block(manifest.root, piece, block)
    assert store.read_block(manifest.root, 2, 1) == b""
    store.close()


def test_a_published_file_that_changed_or_went_is_refused(tmp_path):
    manifest, source = publish(tmp_path, 10)
    store = Store(tmp_path / "store")
    source.write_bytes(b"changed size")
    with pytest.raises(StoreError):
        store.adopt(manifest, source)
    source.unlink()
    with pytest.raises(StoreError):
        store.adopt(manifest, source)


def test_a_discarded_download_is_deleted_and_a_published_file_is_left_alone(tmp_path):
    manifest, source = publish(tmp_path, 10)
    store = Store(tmp_path / "store")
    partial = store.begin(manifest)
    partial.write_piece(0, source.read_bytes())
    whole = partial.finish()
    store.discard(manifest.root)
    assert not whole.exists()
    assert not store.holds(manifest.root)
    store.adopt(manifest, source)
    store.discard(manifest.root)
    assert source.exists()


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_open_files_are_bounded_over_all_stores(tmp_path):
    descriptors = Descriptors(limit=3)
    before = open_files()
    stores = [Store(tmp_path / f"store{i}", descriptors) for i in range(6)]
    manifests = [publish(tmp_path, 10, f"f{i}") for i in range(6)]
    for store, (manifest, source) in zip(stores, manifests, strict=True):
        store.adopt(manifest, source)
        assert len(store.read_block(manifest.root, 0, 0)) == 10
    assert open_files() <= before + 3
    for store in stores:
        store.close()
    assert open_files() == before
