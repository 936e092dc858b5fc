"""trio: `swarmbed netem explain` and `design`, and lines that `swarmbed run` refuses."""

import json
import re
import sys

import pytest
from click.testing import CliRunner

from netem.tc import parse_tc
from scenarios import cli


def invoke(*arguments):
    return CliRunner().invoke(cli.cli, ["netem", *arguments], catch_exceptions=False)


def test_its_commands_are_found_by_name():
    listed = invoke().output
    assert re.search(r"^  design ", listed, re.MULTILINE)
    assert re.search(r"^  explain ", listed, re.MULTILINE)


def test_explain_prints_figures_and_warnings():
    printed = invoke("explain", "delay 20ms 5ms 25% loss 0.3% 25% rate 10mbit slot 1ms").output.splitlines()
    assert printed[0] == "delay 20ms 5ms 25% loss 0.3% 25% rate 10000kbit slot 1ms 1ms"
    assert "  rate                        1,250,000 bytes/s (10 Mbit/s)" in printed
    assert "  loss rate                   0.3000%" in printed
    assert "  delay mean                  20.0000 ms" in printed
    assert any(line.startswith("! loss: in the kernel") for line in printed)


def test_explain_answers_in_json():
    found = json.loads(invoke("explain", "loss gemodel 1% 30%", "--json").output)
    assert found["loss_rate"] == pytest.approx(0.0322581, rel=1e-5)
    assert found["line"] == "loss gemodel 1% 30% 100% 0%"


def test_design_prints_a_line_with_the_wanted_loss():
    line = invoke("design", "--loss", "2%", "--burst", "3").output.strip()
    (chain,) = parse_tc(line).impairments
    assert chain.loss_rate() == pytest.approx(0.02)
    assert chain.mean_burst() == pytest.approx(3.0)
    found = json.loads(invoke("design", "--loss", "2%", "--burst", "3", "--json").output)
    assert (found["line"], found["loss_rate"]) == (line, pytest.approx(0.02))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["netem", "explain", "loss state 60% 50% 0% 100% 50%"],
            "loss state p13 + p14: '1.1' is not allowed; allowed: a sum",
        ),
        (["netem", "explain", "bogus"], "impair: 'bogus' is not allowed; allowed: options corrupt, delay"),
        (
            ["netem", "design", "--loss", "99%", "--burst", "3"],
            "loss: 0.99 is not allowed; allowed: 0 to 0.75: mean burst",
        ),
        (
            ["netem", "design", "--loss", "2", "--burst", "0.5"],
            "mean burst: 0.5 is not allowed; allowed: a number of packets from 1",
        ),
        (
            ["netem", "design", "--loss", "2", "--burst", "inf"],
            "mean burst: inf is not allowed; allowed: a number of packets",
        ),
        (
            ["run", "steady", "--set", "impair=reorder 25%"],
            "impair reorder: 'without delay' is not allowed; allowed: reorder with",
        ),
        (
            ["run", "steady", "--set", "impair=delay 10ms gap 5"],
            "impair gap: '5' is not allowed; allowed: gap with reorder",
        ),
        (
            ["run", "steady", "--set", "impair=delay 9ms -1ms"],
            "impair delay jitter: '-1ms' is not allowed; allowed: a time from 0 to 3600s",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, complaint, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["swarmbed", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"swarmbed: {complaint}")
