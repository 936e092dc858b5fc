import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import ConfigError
from node.content import block_count, make_manifest, piece_bytes, scan
from tracker.manifest import check_manifest, piece_count
from tracker.messages import PIECE_BYTES, Manifest


@pytest.mark.parametrize("size_bytes", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_a_manifest_of_any_size_checks_and_survives_the_wire(tmp_path, size_bytes):
    path = tmp_path / "a file"
    path.write_bytes(b"x" * size_bytes)
    manifest = make_manifest("dir/a file", path)
    assert manifest.size_bytes == size_bytes
    assert len(manifest.pieces) == piece_count(size_bytes)
    check_manifest(msgspec.msgpack.decode(msgspec.msgpack.encode(manifest), type=Manifest))


@given(st.integers(0, 5 * PIECE_BYTES))
def test_pieces_and_blocks_cover_a_file_exactly(size_bytes):
    pieces = range(piece_count(size_bytes))
    assert sum(piece_bytes(size_bytes, piece) for piece in pieces) == size_bytes
    assert all(1 <= block_count(size_bytes, piece) <= 256 for piece in pieces)
    assert block_count(size_bytes, len(pieces)) == block_count(size_bytes, -1) == 0


def test_the_scan_is_sorted_recursive_and_keeps_strange_names(tmp_path):
    names = ["b", "a b", "ü/ß", "日本/語\nzeile", "a/..b"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    found = scan(tmp_path)
    assert [name for name, _ in found] == sorted(names)
    assert all(path.read_text() == name for name, path in found)
    for name, path in found:
        check_manifest(make_manifest(name, path))


def test_a_missing_directory_a_file_and_a_name_outside_utf8_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(ConfigError) as caught:
            scan(wrong)
        assert caught.value.field == "--content"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / os.fsdecode(b"\xff")).touch()
    with pytest.raises(ConfigError, match="UTF-8"):
        scan(tmp_path / "d")


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "secret").touch()
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root may read everything
    with pytest.raises(ConfigError, match="readable"):
        scan(tmp_path)
    with pytest.raises(ConfigError, match="readable"):
        make_manifest("gone", tmp_path / "gone")
