"""The run directory: never over another run, strict JSON, all that is needed to repeat the run."""

from __future__ import annotations

import json
import math
import os

import pytest

from netem.errors import ConfigError
from scenarios.run_directory import json_text, new_run_directory, write_json


def strict(path):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_result_json_has_the_fields_that_scripts_depend_on(finished):
    result = strict(finished.directory / "result.json")
    assert result == finished.to_dict() | {"params": result["params"]}
    assert {"scenario", "seed", "time", "params", "claims", "invariants", "fidelity", "digest"} <= set(result)
    assert (result["scenario"], result["seed"], result["time"]) == ("flash-crowd", 1, "virtual")
    assert result["claims"]
    for claim in result["claims"]:
        assert {"name", "predicted", "measured", "tolerance", "ok", "source"} <= set(claim)
        assert claim["name"]
        assert claim["source"]
    assert set(result["invariants"]) == {f"I{n}" for n in range(1, 9)}
    assert {"valid", "reasons", "loss", "delay_s", "sent", "delivered", "missing"} <= set(result["fidelity"])
    assert len(bytes.fromhex(result["digest"])) == 32
    assert result["counts"]["blocks_delivered"] > 0


def test_run_json_says_what_was_asked_for_and_with_what(finished, content, awkward_files):
    run = strict(finished.directory / "run.json")
    assert (run["scenario"], run["seed"], run["time"]) == ("flash-crowd", 1, "virtual")
    assert run["params"]["nodes"] == 4
    assert run["params"]["rate_bytes_per_s"] == "inf"
    assert {file["name"]: file["size_bytes"] for file in run["content"]["files"]} == awkward_files
    assert run["content"]["source"] == str(content)
    assert run["content"]["bytes"] == sum(awkward_files.values())
    assert {"python", "swarmbed", "trio", "numpy"} <= set(run["versions"])


def test_numbers_that_json_lacks_become_text():
    assert json.loads(json_text({"a": [math.inf, -math.inf, (math.nan, 1.5)], "b": None})) == {
        "a": ["inf", "-inf", ["nan", 1.5]],
        "b": None,
    }


def test_a_path_that_is_no_text_still_gives_json_in_utf_8(tmp_path):
    path = os.fsdecode(b"/data/\xff\xe6\x97\xa5")
    write_json(tmp_path / "run.json", {"source": path})
    assert strict(tmp_path / "run.json") == {"source": path}


def test_a_new_directory_is_made_with_its_parents(tmp_path):
    out = new_run_directory(tmp_path / "a" / "b", scenario="s", seed=1)
    assert out == tmp_path / "a" / "b"
    assert out.is_dir()
    assert new_run_directory(out, scenario="s", seed=1) == out  # still empty


def test_without_out_every_run_gets_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [new_run_directory(None, scenario="flash-crowd", seed=7) for _ in range(3)]
    assert len(set(made)) == 3
    assert all(path.parent.name == "runs" and path.name.startswith("flash-crowd-seed7-") for path in made)


def test_a_directory_in_use_is_never_overwritten(tmp_path):
    (tmp_path / "result.json").write_text("precious", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"--out: .*a new or empty directory"):
        new_run_directory(tmp_path, scenario="s", seed=1)
    assert (tmp_path / "result.json").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_in_the_way_is_refused(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--out: .*a directory that can be written"):
        new_run_directory(tmp_path / "file" / below, scenario="s", seed=1)


def test_a_directory_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may write everywhere else
    with pytest.raises(ConfigError, match=r"--out: .*a directory that can be written"):
        new_run_directory(tmp_path, scenario="s", seed=1)
