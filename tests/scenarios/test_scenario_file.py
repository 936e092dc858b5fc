"""A scenario in a file of one's own: what is missing or fails is one clear line; what is run is on record."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from netem.errors import ConfigError
from node.events import DownloadFinished, DownloadStarted
from scenarios.catalogue import scenario_named
from scenarios.options import Options
from scenarios.runner import run_scenario
from scenarios.trace_file import read_trace

GOOD = '''"""Does it work?

Source: a test.
"""
from typing import Annotated
import scenarios
from scenarios import Claim, param

class Params(scenarios.Params):
    files: Annotated[int, param("files to publish", unit="files", ge=1, le=9)] = 1

async def run(bed):
    await bed.start()
    for file in bed.content[: bed.params.files]:
        index = await bed.peers[0].publish(file.name, file.path)
        await bed.fetch_all(index)

def claims(record):
    n = len(record.times_s(scenarios.DownloadFinished))
    due = record.params.files * (record.params.nodes - 1)
    return [Claim(name="copies", predicted=due, measured=n, tolerance=0, ok=n == due, source="a test")]
'''


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes `mine.py` in the current directory."""
    monkeypatch.chdir(tmp_path)

    def written(text):
        (tmp_path / "mine.py").write_text(text, encoding="utf-8")
        return "./mine.py"

    return written


def test_a_file_is_a_scenario_named_after_it(write):
    scenario = scenario_named(write(GOOD))
    assert (scenario.name, scenario.file) == ("mine", "./mine.py")
    assert scenario.question.startswith("Does it work?")
    assert scenario.params().files == 1


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Does it work?", "It works.", "docstring"),
        ("Source: ", "From ", "docstring"),
        ("class Params", "class Parameters", "class Params"),
        ("class Params(scenarios.Params)", "class Params", "class Params"),
        ("async def run(bed):", "def run(bed): ...\nasync def other(bed):", "async def run"),
        ("async def run(bed)", "async def run()", "async def run"),
        ("async def run", "async def play", "async def run"),
        ("def claims(record)", "def claims(record, more)", "def claims"),
        ("def claims", "async def claims", "def claims"),
        ("def claims", "def judge", "def claims"),
        ('Annotated[int, param("files to publish", unit="files", ge=1, le=9)] = 1', "int = 1", "files: a description"),
        (', unit="files"', "", "files: a unit"),
        ("] = 1", "]", "files: a default"),
        ("return [Claim(", "return [Claim((", "SyntaxError"),
        ("import scenarios\n", "import scenaria\n", r"mine\.py:6: ModuleNotFoundError: No module named 'scenaria'"),
        ("Claim, param", "Claim, parameter", r"mine\.py:7: ImportError"),
        ("unit=", "units=", r"mine\.py:10: TypeError"),
        ("ge=1", "ge='x'", r"mine\.py:10: TypeError"),
    ],
)
def test_what_is_missing_or_fails_is_named_in_one_line(write, old, new, why):
    assert old in GOOD
    with pytest.raises(ConfigError, match=why) as caught:
        scenario_named(write(GOOD.replace(old, new)))
    assert (caught.value.field, caught.value.value) == ("SCENARIO", "./mine.py")
    assert "\n" not in str(caught.value)


def test_a_default_out_of_range_is_refused(write):
    with pytest.raises(ConfigError, match="files: 10 is not allowed; allowed: a whole number from 1 to 9"):
        scenario_named(write(GOOD.replace("] = 1", "] = 10")))


@pytest.mark.parametrize("name", ["./missing.py", "mine", "./mine", "."])
def test_a_file_that_is_not_there_is_refused_without_a_traceback(swarmbed, name):
    outcome = swarmbed("run", name)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"swarmbed: SCENARIO: {name!r} is not allowed; allowed: ")


def test_a_run_of_a_file_takes_its_parameters_and_records_its_code(swarmbed, write, tmp_path, content):
    path = write(GOOD)
    (tmp_path / "p.toml").write_text("files = 2\nnodes = 3", encoding="utf-8")
    outcome = swarmbed(
        *("run", path, "--time", "virtual", "--quiet", "--out", "out", "--content", content),
        *("--params", "p.toml", "--set", "nodes=4"),
    )
    assert (outcome.status, outcome.err) == (0, "")
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["scenario"] == "mine"
    assert result["claims"][0]["measured"] == 2 * 3
    run = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert run["own_code"] == [{"path": "mine.py", "sha256": hashlib.sha256(GOOD.encode()).hexdigest()}]


def test_the_list_tells_the_units_of_a_files_parameters(swarmbed, write):
    outcome = swarmbed("list", write(GOOD))
    assert "    files = 1 files: files to publish (a whole number from 1 to 9)" in outcome.out
    assert "    delay_s = 0.02 s: " in outcome.out
    assert "flash-crowd" not in outcome.out


def test_the_path_on_record_is_relative(write, tmp_path, monkeypatch):
    write(GOOD)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    from scenarios.scenario_file import code_files

    scenario = scenario_named(str(tmp_path / "mine.py"))
    (record,) = code_files(scenario.file, scenario.params())
    assert record["path"] == os.path.join("..", "mine.py")  # noqa: PTH118  # as the record is written


def test_a_scenario_lets_all_its_nodes_wait_for_the_last_of_them(write, tmp_path, content):
    options = Options(time="virtual", content=content, out=tmp_path / "out", quiet=True)
    values = {"nodes": 5, "files": 2, "loss": 0.2}
    result = run_scenario(scenario_named(write(GOOD)), values, options)
    told = [event for _, event in read_trace(result.directory / "events.msgpack")]
    ended = [(place, event[3]) for place, event in enumerate(told) if event[0] == DownloadFinished.__name__]
    begun = [(place, event[3]) for place, event in enumerate(told) if event[0] == DownloadStarted.__name__]
    first, second = sorted({index for _, index in ended})
    assert [index for _, index in ended].count(first) == 4
    assert max(place for place, index in ended if index == first) < min(p for p, index in begun if index == second)
