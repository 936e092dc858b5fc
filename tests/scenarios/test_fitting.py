"""What a run takes from its host: a number of processes, and in real time a demand that the host can carry."""

from __future__ import annotations

import math

import msgspec
import pytest

from scenarios import fitting
from scenarios.campaign import plan
from scenarios.capacity import LEAST_DEMAND, capacity_warning
from scenarios.catalogue import scenario_named
from scenarios.fitting import fit
from scenarios.options import Options
from scenarios.parameters import Params, fill
from tests.scenarios.modest_host import HOST

FLASH_CROWD = scenario_named("flash-crowd").params
REAL = Options(time="real", procs=None)


def fit_of(options=REAL, host=HOST, kind=FLASH_CROWD, **values):
    return fit(fill(kind, values), options, given=values, calibration=host)


@pytest.mark.parametrize("scenario", ["flash-crowd", "steady"])
def test_a_demand_that_nobody_asked_for_is_lowered_to_what_the_host_carries(scenario):
    kind = scenario_named(scenario).params
    fitted = fit_of(kind=kind, nodes=200)
    (demand,) = fitted.values.values()
    assert 0 < demand < kind().crowd_bytes_per_s
    assert fitted.warning == ""
    assert fitted.note.startswith(f"demand {demand / 1e6:.2g} MB/s: what this host can carry")
    assert "(of 7.25 MB/s)" in fitted.note
    assert "--set crowd_bytes_per_s=... overrides" in fitted.note
    assert "\n" not in fitted.note


def test_a_fitted_demand_is_repeated_by_its_settings():
    first = fit_of(nodes=200)
    key, equals, value = first.settings.removeprefix(" --set ").partition("=")
    assert equals
    again = fit_of(nodes=200, **{key: float(value)})
    assert float(value) == pytest.approx(first.values[key], rel=1e-5)
    assert (again.values, again.note) == ({}, "")


@pytest.mark.parametrize("asked", [{"crowd_bytes_per_s": 7.25e6}, {"load": 0.29}])
def test_a_demand_that_was_asked_for_is_kept_and_warned_about(asked):
    fitted = fit_of(nodes=200, **asked)
    assert (fitted.values, fitted.note) == ({}, "")
    assert fitted.warning == capacity_warning(fill(FLASH_CROWD, {"nodes": 200, **asked}), HOST, processes=2)
    assert fitted.warning


def test_a_demand_that_the_host_carries_is_kept():
    assert fit_of(nodes=20) == fitting.Fit(options=Options(time="real", procs=1))


def test_virtual_time_keeps_every_demand():
    assert fit_of(Options(time="virtual", procs=None), nodes=200) == fitting.Fit(
        options=Options(time="virtual", procs=1)
    )


def test_a_host_that_the_nodes_alone_overload_gets_the_least_demand_and_a_warning():
    fitted = fit_of(nodes=2_000)
    assert 0 < fitted.values["crowd_bytes_per_s"] <= LEAST_DEMAND * 7.25e6
    assert "the least, for a slow host (of 7.25 MB/s)" in fitted.note
    assert "the run may be void" in fitted.warning


def test_a_scenario_without_a_declared_demand_is_left_alone():
    fitted = fit_of(kind=Params, nodes=200)
    assert (fitted.values, fitted.note) == ({}, "")
    assert fitted.warning


def test_a_scenario_that_declares_its_demand_is_fitted():
    class Mine(Params, frozen=True, kw_only=True):
        demand_keys = ("wanted",)
        wanted: float = 1e7

        def wanted_bytes_per_s(self) -> float:
            return self.wanted

    assert 0 < fit_of(kind=Mine, nodes=100).values["wanted"] < 1e7
    assert fit_of(kind=Mine, nodes=100, wanted=1e7).values == {}


def test_without_measured_figures_a_guess_is_taken(monkeypatch):
    monkeypatch.setattr("scenarios.calibration.saved_calibration", lambda: None)
    monkeypatch.setattr("scenarios.calibration.quick_calibration", lambda: HOST)
    assert fit(fill(FLASH_CROWD, {"nodes": 200}), REAL, given=()) == fit_of(nodes=200)


def test_all_seeds_of_a_combination_get_one_demand(monkeypatch, tmp_path):
    slower = iter(msgspec.structs.replace(HOST, block_us=us) for us in (200.0, 400.0, 800.0))
    monkeypatch.setattr("scenarios.campaign.host_calibration", lambda: next(slower))
    campaign = plan(
        "flash-crowd",
        scenario_named("flash-crowd"),
        {},
        options=Options(time="real", procs=None, out=tmp_path / "out"),
        over={"nodes": ["20", "200"]},
        seeds=range(1, 3),
        title="sweep",
    )
    demands = {(job.labels["nodes"], job.values.get("crowd_bytes_per_s")) for job in campaign.jobs}
    assert demands == {("20", None), ("200", str(fit_of(nodes=200).values["crowd_bytes_per_s"]))}
    assert [note.partition(":")[0] for note in campaign.notes] == ["nodes=200"]


def test_the_command_tells_and_records_the_demand(swarmbed, monkeypatch, content, tmp_path):
    weak = msgspec.structs.replace(HOST, block_us=HOST.block_us * 20)
    monkeypatch.setattr("scenarios.fitting.host_calibration", lambda: weak)
    told = swarmbed(
        *("run", "flash-crowd", "--nodes", "6", "--duration", "2", "--set", "appear_s=0.5", "--procs", "1"),
        *("--content", content, "--quiet", "--out", tmp_path / "out"),
    )
    demand = fit_of(Options(time="real", procs=1), weak, nodes=6).values["crowd_bytes_per_s"]
    assert f"demand {demand / 1e6:.2g} MB/s" in told.out.splitlines()[1]
    assert told.err == ""
    for name in ("run.json", "result.json"):
        params = msgspec.json.decode((tmp_path / "out" / name).read_bytes())["params"]
        assert math.isclose(params["crowd_bytes_per_s"], demand)
    again = next(line for line in told.out.splitlines() if line.startswith("again"))  # too short to judge anything
    assert f" --set crowd_bytes_per_s={demand:g} " in again
