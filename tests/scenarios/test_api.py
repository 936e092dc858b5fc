"""`scenarios.run` from Python: the same as the command, and its limits told."""

from __future__ import annotations

import threading

import pytest
import trio

import scenarios
from netem.errors import ConfigError, LocalProtocolError


def test_it_gives_the_result_of_the_command(finished, small, content, tmp_path):
    result = scenarios.run("flash-crowd", seed=1, time="virtual", content=str(content), out=tmp_path / "out", **small)
    assert result.digest == finished.digest
    assert result.status == finished.status
    assert result.directory == tmp_path / "out"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"scenario": "nothing"}, "SCENARIO"),
        ({"time": "never"}, "time"),
        ({"seed": "1"}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"lossy": 1}, "lossy"),
        ({"loss": 2}, "loss"),
        ({"content": "missing"}, "--content"),
    ],
)
def test_a_mistake_is_refused_and_leaves_nothing_behind(tmp_path, monkeypatch, arguments, field):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        scenarios.run(**{"scenario": "flash-crowd", **arguments})
    assert caught.value.field == field
    assert not list(tmp_path.iterdir())


def test_inside_a_trio_program_it_is_refused():
    async def program():
        with pytest.raises(LocalProtocolError, match=r"inside trio\.run"):
            scenarios.run("flash-crowd")

    trio.run(program)


def test_outside_the_main_thread_it_is_refused():
    refused = []

    def work():
        with pytest.raises(LocalProtocolError, match="main thread"):
            scenarios.run("flash-crowd")
        refused.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert refused


def test_every_name_a_scenario_may_import_is_there_and_no_other():
    names = [name for name in dir(scenarios) if not name.startswith("_")]
    assert {"Bed", "Claim", "Params", "Record", "compare", "param", "run"} <= set(names)
    assert all(getattr(scenarios, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'Bad'"):
        _ = scenarios.Bad
