"""What a person sees while many runs go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.jobs import Job, Outcome
from scenarios.tally import Tally, line_of


@pytest.fixture
def outcome():
    """Return a function that makes the outcome of a job."""

    def make(status=0, result=None, said=""):
        job = Job(
            name="07",
            scenario="x",
            seed=3,
            time="virtual",
            values={},
            labels={"loss": "[red]0.1"},  # which rich would take for a colour
            content=None,
            out=Path("out"),
        )
        return Outcome(job=job, status=status, result=result, said=said, wall_s=1.25)

    return make


def test_a_run_is_told_by_what_makes_it_different(outcome):
    assert line_of(outcome(0, {})) == "07  loss=[red]0.1 seed 3: all hold after 1.2 s"
    assert line_of(outcome(3, None, "killed by SIGKILL")).endswith(": void after 1.2 s: killed by SIGKILL")


@pytest.mark.parametrize("quiet", [False, True])
def test_without_a_terminal_there_is_a_line_each_unless_quiet(outcome, capsys, quiet):
    with Tally(2, quiet=quiet) as tally:
        tally.tell(outcome(0, {}))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == ("" if quiet else "07  loss=[red]0.1 seed 3: all hold after 1.2 s\n")
