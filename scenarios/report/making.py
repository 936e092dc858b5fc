"""trio: makes a run's report from its directory, and writes it there. Blocking, after a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from netem.errors import ConfigError
from netem.tc import describe
from scenarios.catalogue import scenario_named, scenario_names
from scenarios.finished_run import FinishedRun
from scenarios.parameters import LinkParams, fill
from scenarios.parameters import describe as describe_params
from scenarios.report.books import read_books
from scenarios.report.document import Findings, document
from scenarios.report.drawings import Window, boards, drawing_of, marks_of
from scenarios.report.replay import MOST_SAMPLES, Replayed, replay
from scenarios.report.stated import fault_in
from scenarios.run_directory import SCHEMA

FILE = "report.html"
Turn = Callable[[int], None]


def opened(directory: Path) -> FinishedRun:
    """Open a run directory to report on.

    Raises:
        ConfigError: it is none, or of a version newer than this program.
    """
    run = FinishedRun(directory)
    if fault := fault_in(run.record, run.result):
        raise ConfigError("RUN_DIR", str(directory), f"a run directory as runs write it ({fault})")
    if (schema := run.record.get("schema", 0)) > SCHEMA:
        raise ConfigError("RUN_DIR", str(directory), f"a run directory of version {SCHEMA} at most; it says {schema}")
    return run


def write_report(directory: Path, *, turn: Turn = lambda _events: None) -> Path:
    """Write a run's report into its directory and return the path; `turn` as of `replay`.

    Raises:
        ConfigError: it is no run directory, a file in it is damaged, or the report cannot be written.
    """
    run = opened(directory)
    text = html(run, replay(run, turn=turn))
    path = directory / FILE
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as fault:
        raise ConfigError("RUN_DIR", str(path), f"a file that can be written ({fault.strerror})") from None
    return path


def html(run: FinishedRun, told: Replayed) -> str:
    """Return a run's report."""
    window = window_of(told)
    notes = [] if run.result else ["the run did not end: it has no result.json"]
    style = (resources.files("scenarios.report") / "style.css").read_text(encoding="utf-8")
    return document(
        Findings(
            name=run.directory.resolve().name,
            record=run.record,
            result=run.result,
            about=about_of(run.record),
            link=link_of(run.record),
            drawings={
                name: [drawing_of(told.store, panel, window) for panel in panels] for name, panels in boards().items()
            },
            marks=marks_of(told.faults, window),
            books=read_books(run.directory / "ledger.sqlite"),
            notes=[*notes, *told.notes],
        ),
        style=style,
    )


def window_of(told: Replayed) -> Window:
    """Return the whole run."""
    start_ms, end_ms = told.store.bounds_ms()
    return Window(start_ms, max(end_ms, start_ms), sample_ms=sample_ms(told))


def about_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scenario's question and parameters: as the run noted them, else as a scenario of ours has them now."""
    if "about" in record:
        return dict(record["about"])
    if record["scenario"] not in scenario_names():
        return {}
    scenario = scenario_named(record["scenario"])
    return {"question": scenario.question, "params": describe_params(scenario.params)}


def link_of(record: Mapping[str, Any]) -> str:
    """Return what every link does, in words; nothing if the parameters are not of this version."""
    params = record["params"]
    try:
        return describe(fill(LinkParams, {key: params[key] for key in LinkParams.__struct_fields__}).link())
    except (ConfigError, KeyError):
        return ""


def sample_ms(told: Replayed) -> int:
    """Return how far apart the samples are."""
    span_ms = max(1, (told.ended_ns - told.started_ns) // 10**6)
    return 1000 * max(1, -(-span_ms // (1000 * MOST_SAMPLES)))
