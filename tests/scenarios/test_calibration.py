"""Measuring a host, and keeping the figures where later runs find them."""

from __future__ import annotations

import json

import msgspec
import pytest

from netem.errors import ConfigError
from scenarios import calibration as module
from scenarios.calibration import cache_path, calibrate, quick_calibration, save_calibration, saved_calibration
from scenarios.capacity import VERSION, Calibration, most_nodes
from scenarios.catalogue import scenario_named
from tests.scenarios.modest_host import HOST


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def assert_plausible(found):
    # The types bound each figure; an annotation is checked only while decoding.
    assert msgspec.convert(msgspec.to_builtins(found), Calibration) == found
    assert found.block_us > found.packet_us
    assert found.open_files > 100


def test_what_was_saved_is_found_again(cache):
    assert saved_calibration() is None
    assert save_calibration(HOST) == cache / "swarmbed" / "calibration.json"
    assert saved_calibration() == HOST
    later = msgspec.structs.replace(HOST, share=0.9)
    save_calibration(later)
    assert saved_calibration() == later
    assert [path.name for path in (cache / "swarmbed").iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", json.dumps({**msgspec.to_builtins(HOST), "share": 0.0}).encode()]
)
def test_a_file_that_is_no_calibration_counts_as_none(content):
    save_calibration(HOST).write_bytes(content)
    assert saved_calibration() is None


def test_figures_that_meant_something_else_count_as_none():
    save_calibration(msgspec.structs.replace(HOST, version=VERSION + 1))
    assert saved_calibration() is None


@pytest.mark.parametrize("base", ["", "relative/path"])
def test_without_an_absolute_path_the_home_directory_keeps_it(monkeypatch, tmp_path, base):
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_path() == tmp_path / ".cache" / "swarmbed" / "calibration.json"


def test_a_cache_that_cannot_be_written_is_one_clear_error(cache):
    cache.write_bytes(b"a file, not a folder")
    with pytest.raises(ConfigError, match="XDG_CACHE_HOME"):
        save_calibration(HOST)


def test_a_quick_calibration_is_plausible():
    found = quick_calibration()
    assert found.quick
    assert_plausible(found)


@pytest.mark.slow
def test_a_calibration_is_plausible():
    found = calibrate()
    assert not found.quick
    assert_plausible(found)


# -- the command ------------------------------------------------------------------------------------------------------------


def test_the_command_answers_for_one_process_and_for_the_host(swarmbed, monkeypatch, cache):
    monkeypatch.setattr(module, "calibrate", lambda: HOST)
    outcome = swarmbed("calibrate")
    assert (outcome.status, outcome.err) == (0, "")
    fits = most_nodes(scenario_named("flash-crowd").params(), HOST)
    assert f"one process 50,000 packets/s, or {fits} nodes of flash-crowd" in outcome.out
    assert f"2 processes 100,000 packets/s, or {2 * fits} nodes of flash-crowd" in outcome.out
    assert outcome.out.endswith(f"kept in {cache / 'swarmbed' / 'calibration.json'}\n")
    assert saved_calibration() == HOST


def test_the_command_prints_json(swarmbed, monkeypatch):
    monkeypatch.setattr(module, "calibrate", lambda: HOST)
    answer = json.loads(swarmbed("calibrate", "--json").out)
    assert answer["measured"] == msgspec.to_builtins(HOST)
    assert answer["packets_per_s"] == {"process": 50_000.0, "host": 100_000.0}
    assert answer["nodes"]["host"] == 2 * answer["nodes"]["process"]


def test_a_cache_that_cannot_be_written_is_one_clear_line(swarmbed, monkeypatch, cache):
    monkeypatch.setattr(module, "calibrate", lambda: HOST)
    cache.write_bytes(b"")
    outcome = swarmbed("calibrate")
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: XDG_CACHE_HOME: ")
