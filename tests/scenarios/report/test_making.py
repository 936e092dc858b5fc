"""The report: one file of its own, with every claim and every panel, made again from the run directory as it was."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape

import numpy as np
import pytest

from scenarios.report.document import figure
from scenarios.report.drawings import Drawing, Line, boards, drawing_of
from scenarios.report.making import opened, window_of, write_report
from scenarios.report.replay import replay

MOST_BYTES = 2_000_000
NEVER_IN_SIMULATED_TIME = {"Lateness of departures", "Event-loop lag"}  # but for what is allowed: nothing is ever late


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished.directory, tmp_path / "run", dirs_exist_ok=True)


def edited(directory, name, **changes):
    path = directory / name
    told = json.loads(path.read_text(encoding="utf-8"))
    told |= changes
    path.write_text(json.dumps({key: value for key, value in told.items() if value is not None}), encoding="utf-8")


@pytest.fixture(scope="session")
def report(finished):
    return (finished.directory / "report.html").read_text(encoding="utf-8")


def test_it_is_one_small_file_that_refers_to_nothing_outside(report):
    assert len(report.encode()) < MOST_BYTES
    assert "<script" not in report
    assert "<link" not in report.replace('<link rel="icon" href="data:,">', "")
    assert "@import" not in report
    assert not re.findall(r"url\(|src=|https?://", report)
    assert set(re.findall(r'href="([^"]*)"', report)) <= {
        "data:,",
        *(f"#{name}" for name in re.findall(r'id="(\w+)"', report)),
    }


def test_it_names_every_claim_with_theory_measurement_and_source(report, finished):
    text = unescape(report)
    for claim in finished.claims:
        assert f"<strong>{claim.name}</strong>" in text
        assert claim.source in text
        assert claim.note in text


def test_it_tells_the_question_the_verdicts_the_digest_and_how_to_repeat_it(report, finished, content):
    text = unescape(report)
    assert "how fast does the market shift bandwidth to it?" in text
    assert "huberman-wu, sections 2 and 3.3" in text
    assert finished.digest in text
    assert "Fidelity: valid" in text
    assert f"swarmbed run flash-crowd --seed 1 --time virtual --content {content}" in text
    assert "--set nodes=4" in text
    assert "--set loss=" not in text  # it has its default
    for name in ("I1", "I8"):
        assert f'<td class="text">{name}</td>' in text


def test_every_panel_of_the_dashboards_is_drawn_with_data(finished, report):
    run = opened(finished.directory)
    told = replay(run, turn=lambda _number: None)
    panels = [panel for board in boards().values() for panel in board]
    assert len(panels) > 35
    for panel in panels:
        drawing = drawing_of(told.store, panel, window_of(told))
        assert not drawing.trouble
        measured = [line for line in drawing.lines if not line.theory]
        assert measured or panel.title in NEVER_IN_SIMULATED_TIME, panel.title
        assert unescape(report).count(panel.title) >= 1
    assert "No data in this run" not in report
    assert "no data" not in report


def test_a_panel_that_is_a_table_has_a_row_for_each_label_and_a_column_for_each_query(report):
    table = re.search(r"Waiting time by popularity rank.*?</table>", report, re.DOTALL)[0]
    assert re.findall(r"<th(?: [^>]*)?>(.*?)</th>", table) == ["rank", "waited (s)", "theory: alone (s)", "downloads"]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", table)]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert all(float(waited) > 0 and float(alone) >= 0 and int(downloads) > 0 for _, waited, alone, downloads in rows)


def test_a_table_has_nothing_of_what_ended_before_the_run():
    panel = next(panel for board in boards().values() for panel in board if panel.look == "table")
    ended, lasting = (((("rank", rank),), np.array([1.0, value])) for rank, value in (("01", np.nan), ("02", 2.0)))
    lines = [Line("", labels, 0, theory=False, values=values) for labels, values in (ended, lasting)]
    table = figure(Drawing(panel, np.array([0.0, 1.0]), lines), [])
    assert re.findall(r'<td class="text">(\d+)</td>', table) == ["02"]


def test_made_again_it_is_the_same(copied, report):
    (copied / "report.html").unlink()
    assert write_report(copied).read_text(encoding="utf-8") == report.replace("finished</code>", "run</code>")


def test_a_run_without_a_result_is_reported_as_that(copied):
    (copied / "result.json").unlink()
    text = write_report(copied).read_text(encoding="utf-8")
    assert "The run did not end: it has no result" in text
    assert "Blocks delivered" in text


def test_a_void_run_says_so_first_and_why(copied):
    fidelity = json.loads((copied / "result.json").read_text(encoding="utf-8"))["fidelity"]
    edited(copied, "result.json", fidelity=fidelity | {"valid": False, "reasons": ["the host slept & snored"]})
    text = write_report(copied).read_text(encoding="utf-8")
    assert "Fidelity: void" in text
    assert "The run is void" in text
    assert "the host slept &amp; snored" in text


def test_a_failed_claim_and_a_violated_invariant_are_told_in_words(copied):
    result = json.loads((copied / "result.json").read_text(encoding="utf-8"))
    claims = [result["claims"][0] | {"ok": False, "measured": -1}, *result["claims"][1:]]
    edited(copied, "result.json", claims=claims, invariants=result["invariants"] | {"I5": False})
    text = write_report(copied).read_text(encoding="utf-8")
    judged = [claim for claim in claims if claim["ok"] is not None]
    assert f"Claims: {sum(not claim['ok'] for claim in judged)} of {len(judged)} fail" in text
    assert "Invariants violated: I5" in text
    assert "FAILS" in text


def test_a_certificate_of_another_shape_is_shown_as_it_is(copied):
    links = {"judged": 12, "worst": [{"link": "a<b", "loss": 0.5}] * 20}
    edited(copied, "result.json", fidelity={"valid": True, "links": links, "dropped": [1, 2]})
    text = write_report(copied).read_text(encoding="utf-8")
    assert "judged 12" in text
    assert "a&lt;b" in text
    assert "and 8 more" in text


def test_what_each_configuration_did_is_a_table_and_a_link_that_failed_is_named(copied):
    judged = {"realised": 0.0512, "configured": 0.05, "low": 0.04, "high": 0.06, "ok": True}
    config = {
        "impair": "loss 5%",
        "links": 20,
        "packets": 1_000,
        "loss": judged,
        "reorder": {"judged": False, "why": "jitter"},
    }
    each = [{"source": "node-0", "target": "node-1", "loss": judged | {"ok": False, "realised": 0.9}}]
    links = {"count": 20, "tests": 60, "level": 1e-6, "configurations": [config] * 9, "each": each}
    edited(copied, "result.json", fidelity={"valid": False, "links": links})
    text = write_report(copied).read_text(encoding="utf-8")
    for told in ("loss 5%: 20 links", "0.0512", "0.04 to 0.06", "reorder (jitter)", "And 3 more configurations"):
        assert told in text
    assert "node-0 → node-1: loss" in text


def test_text_of_the_run_cannot_become_markup(copied):
    claim = {"name": "<script>x</script>", "predicted": "<b>", "measured": "</td>", "note": "<i>", "source": "<u>"}
    edited(copied, "result.json", claims=[claim | {"tolerance": 0, "ok": True}])
    text = write_report(copied).read_text(encoding="utf-8")
    for tag in ("<script", "<b></td>", "<u>", "<i>"):
        assert tag not in text


def test_an_older_run_directory_is_reported_as_far_as_it_goes(copied):
    edited(copied, "run.json", schema=None, about=None, params={"own": 1}, scenario="somebodys-own")
    (copied / "samples.msgpack").unlink()
    (copied / "ledger.sqlite").unlink()
    text = write_report(copied).read_text(encoding="utf-8")
    assert "swarmbed run somebodys-own --seed 1 --time virtual" in text
    assert "kept no samples" in text
    assert "The ledger is damaged" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shutil.rmtree, "a run directory, with a run.json in it"),
        (lambda run: (run / "run.json").unlink(), "a run directory, with a run.json in it"),
        (lambda run: edited(run, "run.json", schema=99), "a run directory of version 1 at most; it says 99"),
        (lambda run: edited(run, "run.json", params=[1]), "a run directory as runs write it (run.json: "),
        (lambda run: edited(run, "result.json", claims=3), "a run directory as runs write it (result.json: "),
        (lambda run: (run / "events.msgpack").write_bytes(b"\xc1"), "a run directory with a readable trace"),
        (lambda run: (run / "samples.msgpack").write_bytes(b"\xc1"), "a run directory with readable samples"),
        (lambda run: ((run / "report.html").unlink(), (run / "report.html").mkdir()), "a file that can be written"),
    ],
)
def test_bad_input_is_one_line_and_status_2(swarmbed, copied, change, said):
    change(copied)
    outcome = swarmbed("report", copied)
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: RUN_DIR: ")
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_the_command_says_where_the_report_is(swarmbed, copied):
    outcome = swarmbed("report", copied)
    assert (outcome.status, outcome.out) == (0, f"report      {copied / 'report.html'}\n")
