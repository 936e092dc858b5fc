"""Which files are shared: the user's, as they are, or the standard library's."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from netem.errors import ConfigError
from scenarios.content import LARGEST_FILE_BYTES, STANDARD_LIBRARY_BYTES, standard_library, user_content
from scenarios.parameters import STANDARD_FILES


def test_the_users_files_are_found_with_awkward_names_and_sizes(content, awkward_files):
    found = user_content(content)
    assert {file.name: file.size_bytes for file in found} == awkward_files
    assert [file.name for file in found] == sorted(awkward_files)
    assert all(file.path == content / file.name for file in found)


def test_what_is_no_regular_file_is_left_out(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "outside").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    assert [file.name for file in user_content(tmp_path)] == ["a", "b"]


def test_a_single_file_is_no_market(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(ConfigError, match=r"--content: .*at least 2 files \(it has 1\)"):
        user_content(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).touch()
    (tmp_path / "b").chmod(0)
    with pytest.raises(ConfigError, match=r"--content: .*b' is not allowed; allowed: readable files"):
        user_content(tmp_path)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / os.fsdecode(b"\xff\xfe")).touch()
    with pytest.raises(ConfigError, match="valid UTF-8"):
        user_content(tmp_path)


def test_the_standard_library_gives_real_files_within_the_limit():
    found = standard_library(STANDARD_FILES)
    root = Path(sysconfig.get_path("stdlib"))
    assert len(found) == STANDARD_FILES
    assert sum(file.size_bytes for file in found) <= STANDARD_LIBRARY_BYTES
    assert [file.name for file in found] == sorted(file.name for file in found)
    assert all(file.path == root / file.name for file in found)
    assert all(file.path.stat().st_size == file.size_bytes <= LARGEST_FILE_BYTES for file in found)
    assert not any({"site-packages", "__pycache__"} & set(file.path.parts) for file in found)


def test_many_files_of_the_standard_library_are_small_and_alike():
    many = standard_library(128)
    sizes = sorted(file.size_bytes for file in many)
    assert len(many) == 128
    assert sizes[-1] <= STANDARD_LIBRARY_BYTES // 128 < 3 * sizes[0]
