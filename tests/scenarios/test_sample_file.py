"""What a run sampled comes back as it was, and a file that is not whole says so."""

from __future__ import annotations

import errno
import io

import msgpack
import numpy as np
import pytest

from netem.errors import ConfigError
from scenarios.promql.store import is_sample
from scenarios.sample_file import FILE, SampleFile, read_samples


@pytest.fixture
def written(tmp_path):
    file = SampleFile(tmp_path / FILE)
    first = file.series("a_total", {"x": "1"})
    file.append(1_000, [first], [1.5])
    second = file.series("b", {})
    file.append(2_000, [second, first], [7.0, 1.5])
    file.append(3_000, [second], [float("inf")])
    file.close([(b"\x01" * 8, "node-0", "peer")])
    return tmp_path / FILE


def test_samples_come_back_and_a_series_that_ended_is_stale(written):
    found = read_samples(written)
    assert found.times_ms.tolist() == [1_000, 2_000, 3_000]
    assert found.series == [("a_total", {"x": "1"}), ("b", {})]
    assert is_sample(found.values).tolist() == [[True, True, False], [False, True, True]]
    assert found.values[is_sample(found.values)].tolist() == [1.5, 1.5, 7.0, np.inf]
    assert found.nodes == [(b"\x01" * 8, "node-0", "peer")]
    assert not found.cut_off


def test_only_what_changed_is_written(written):
    records = list(msgpack.Unpacker(io.BytesIO(written.read_bytes())))
    assert [record[2] for record in records if record[0] == "at"] == [[0], [1], [1]]


def test_a_file_of_a_killed_run_is_read_up_to_the_cut(written):
    whole = written.read_bytes()
    written.write_bytes(whole[:-20])
    found = read_samples(written)
    assert found.cut_off
    assert found.times_ms.tolist() == [1_000, 2_000, 3_000]
    assert found.nodes == []


def test_no_file_is_no_samples(tmp_path):
    assert not read_samples(tmp_path / FILE).times_ms.size


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"\xc1",
        msgpack.packb(["samples", 2]),
        msgpack.packb(["at", 5, [0], [1.0], []]),
        msgpack.packb(["at", 5, ["x"], [1.0], []]),
        msgpack.packb(["nodes", [1]]),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, data):
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(ConfigError, match=r"RUN_DIR: .*a run directory with readable samples"):
        read_samples(tmp_path / FILE)


def test_a_disk_that_fails_ends_the_recording_and_nothing_else(tmp_path):
    class Full:
        def write(self, _data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    file = SampleFile(tmp_path / FILE)
    file._file.close()
    file._file = Full()
    file.append(1_000, [file.series("a", {})], [1.0])
    file.close([])
    assert "No space left on device" in file.failure
