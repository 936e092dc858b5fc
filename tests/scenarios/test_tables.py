"""What a person reads at the end of a run."""

from __future__ import annotations

import dataclasses

import pytest

from scenarios.claims import Claim
from scenarios.tables import result_lines

CLAIMS = [
    Claim(name="exact things", predicted=2_000_000, measured=2_000_000, tolerance=0, ok=True, source="s"),
    Claim(name="speed", predicted=0.123456, measured=None, tolerance=0.5, ok=False, source="s", note="nothing came"),
    Claim(name="taste", predicted="sweet", measured="sour", tolerance=0, ok=None, source="s", note="switched off"),
]


@pytest.fixture
def told(finished, monkeypatch):
    """Return a function that tells the finished run with some of its fields replaced."""
    monkeypatch.setenv("COLUMNS", "120")

    def tell(**changes):
        return list(result_lines(dataclasses.replace(finished, **changes), again="swarmbed run x"))

    return tell


def row(lines, word):
    (line,) = [line for line in lines if line.startswith(word)]
    return line.split()


def test_each_claim_has_a_row_and_what_fails_its_note(told):
    lines = told(claims=CLAIMS)
    assert row(lines, "exact") == ["exact", "things", "2,000,000", "2,000,000", "exact", "holds"]
    assert row(lines, "speed") == ["speed", "0.1235", "-", "±", "0.5", "FAILS"]
    assert row(lines, "taste") == ["taste", "sweet", "sour", "exact", "not", "judged"]
    assert "  speed: nothing came" in lines
    assert "  taste: switched off" in lines


def test_a_claim_of_ones_own_is_told_as_it_is_written(told):
    lines = told(claims=[dataclasses.replace(CLAIMS[0], name="share [bold] of :star: pieces")])
    assert row(lines, "share")[:5] == ["share", "[bold]", "of", ":star:", "pieces"]


def test_a_good_run_ends_with_digest_and_place(told, finished):
    lines = told(claims=CLAIMS[:1])
    assert f"digest      {finished.digest}" in lines
    assert f"results     {finished.directory}" in lines
    assert any(line.startswith("invariants  all hold: I1 ") for line in lines)
    assert not any(line.startswith("again") for line in lines)


def test_a_failed_run_tells_the_command_and_the_seed(told):
    assert told(claims=CLAIMS)[-1] == "again       swarmbed run x   (seed 1)"


def test_a_void_run_says_why(told, finished):
    certificate = dataclasses.replace(finished.certificate, valid=False, reasons=("too late", "too few"))
    assert any(line.startswith("fidelity    VOID: too late; too few (") for line in told(certificate=certificate))


def test_a_broken_invariant_is_named(told):
    assert "invariants  violated: I2" in told(invariants={"I1": True, "I2": False})


def test_an_interrupted_run_says_so(told):
    assert "interrupted: the results cover what was done until then" in told(interrupted=True)
