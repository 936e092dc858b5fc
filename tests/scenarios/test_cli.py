"""The command line: what a person or script types, and one clear line for every mistake."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from netem.network import loopback_ip
from scenarios import cli as command_line
from scenarios.cli import cli
from scenarios.jobs import environment

COMMANDS = {name: cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))}
RUN = ("run", "flash-crowd", "--time", "virtual", "--quiet", "--out", "out")


def assert_refused(outcome, field):
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert re.match(rf"swarmbed: {re.escape(field)}: .+ is not allowed; allowed: .+", line), line


@pytest.fixture
def tiny(tmp_path):
    """Return a directory with two small files."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode() * 100_000)
    return folder


# -- mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["run", "no-such-scenario"], "SCENARIO"),
        (["run", ""], "SCENARIO"),
        (["run", "a\nb"], "SCENARIO"),
        ([*RUN, "--set", "lossy=0.1"], "lossy"),
        ([*RUN, "--set", "loss=2"], "loss"),
        ([*RUN, "--set", "loss=nan"], "loss"),
        ([*RUN, "--set", "loss=much"], "loss"),
        ([*RUN, "--set", "loss"], "--set"),
        ([*RUN, "--set", "=3"], "--set"),
        ([*RUN, "--set", "policy=generous"], "policy"),
        ([*RUN, "--set", "port=70000"], "port"),
        ([*RUN, "--set", "impair=loss 101%"], "impair loss"),
        ([*RUN, "--set", "impair=wobble 3"], "impair"),
        ([*RUN, "--set", "delay_s=0.1", "--set", "jitter_s=0.2"], "jitter_s"),
        ([*RUN, "--seed", "x"], "--seed"),
        ([*RUN, "--seed", "1.5"], "--seed"),
        ([*RUN, "--seed", "nan"], "--seed"),
        ([*RUN, "--seed", str(2**63)], "--seed"),  # more than SQLite, Parquet and MessagePack can keep
        ([*RUN, "--seed", str(2**63 - 2), "--replicates", "3"], "--replicates"),
        ([*RUN, "--time", "never"], "--time"),
        ([*RUN, "--nodes", "1"], "nodes"),
        ([*RUN, "--nodes", "two"], "nodes"),
        ([*RUN, "--duration", "-1"], "duration_s"),
        ([*RUN, "--duration", "inf"], "duration_s"),
        ([*RUN, "--content", "missing"], "--content"),
        ([*RUN, "--content", "a-file"], "--content"),
        ([*RUN, "--content", "empty"], "--content"),
        ([*RUN, "--content", ""], "--content"),
        ([*RUN, "--params", "missing.toml"], "--params"),
        ([*RUN, "--params", "empty"], "--params"),
        ([*RUN, "--params", "a-file"], "--params"),
        ([*RUN, "--params", "binary"], "--params"),
        ([*RUN, "--params", "unknown.toml"], "lossy"),
        ([*RUN, "--params", "table.toml"], "flash-crowd"),
        ([*RUN, "--params", "date.toml"], "nodes"),
        ([*RUN, "--out", "full"], "--out"),
        ([*RUN, "--out", "a-file"], "--out"),
        ([*RUN, "--out", "a-file/below"], "--out"),
        ([*RUN, "--json", "empty"], "--json"),
        ([*RUN, "--json", "missing/result.json"], "--json"),
        ([*RUN, "--json", "a-file/result.json"], "--json"),
        (["why", "empty", "mint"], "RUN_DIR"),
        (["why", "missing", "mint"], "RUN_DIR"),
        (["audit", "empty"], "RUN_DIR"),
        (["audit", ""], "RUN_DIR"),
        (["audit", "a-file"], "RUN_DIR"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(swarmbed, tmp_path, arguments, field):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    files = {
        "full/x": b"",
        "a-file": b"not = [toml",
        "binary": b"\xff\xfe",
        "unknown.toml": b"lossy = 0.1",
        "table.toml": b"[flash-crowd]\nloss = 0.1",
        "date.toml": b"nodes = 1979-05-27",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    assert_refused(swarmbed(*arguments), field)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["rum"], "rum"),
        (["--loud"], "--loud"),
        (["run"], "SCENARIO"),
        (["run", "flash-crowd", "--nodes"], "--nodes"),
        (["run", "flash-crowd", "again"], "again"),
        (["run", "flash-crowd", "--quick"], "--quick"),
        (["why", "somewhere"], "ACCOUNT"),
        (["list", "everything"], "everything"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_one_line_that_names_it(swarmbed, arguments, named):
    outcome = swarmbed(*arguments)
    (line,) = outcome.err.splitlines()
    assert outcome.status == 2
    assert line.startswith("swarmbed: ")
    assert named in line


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_port_in_use_is_refused(swarmbed, tiny, kind):
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((loopback_ip(0), 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        setting = f"port={taken.getsockname()[1]}"
        outcome = swarmbed("run", "flash-crowd", "--quiet", "--nodes", 2, "--content", tiny, "--set", setting)
    assert_refused(outcome, "port")


def test_a_mistake_in_a_process_of_its_own(start_swarmbed, tmp_path):
    with start_swarmbed("run", "flash-crowd", "--nodes", "0", "--out", tmp_path / "out") as process:
        out, err = process.communicate()
    assert process.returncode == 2
    assert out == "seed 1\n"
    assert err == "swarmbed: nodes: '0' is not allowed; allowed: a whole number from 2 to 5000\n"
    assert list(tmp_path.iterdir()) == []


# -- a run ----------------------------------------------------------------------------------------------------------------


def test_a_run_prints_seed_claims_and_digest_and_writes_its_directory(swarmbed, tiny, tmp_path):
    outcome = swarmbed(*RUN, "--seed", 5, "--nodes", 2, "--duration", 2, "--content", tiny, "--json", "result.json")
    assert outcome.status in {0, 1}
    assert outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[0] == "seed 5"
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert f"digest      {result['digest']}" in lines
    assert "results     out" in lines
    assert (tmp_path / "out" / "result.json").read_bytes() == (tmp_path / "result.json").read_bytes()
    assert (result["seed"], result["status"]) == (5, outcome.status)
    if outcome.status:
        assert lines[-1].startswith("again       swarmbed run flash-crowd --time virtual")


def test_json_on_standard_output_stands_alone(swarmbed, tiny):
    outcome = swarmbed(*RUN, "--nodes", 2, "--duration", 1, "--content", tiny, "--json", "-")
    assert json.loads(outcome.out)["params"]["nodes"] == 2
    assert outcome.err.startswith("seed 1\n")


def test_the_json_may_go_into_the_run_directory_to_be(swarmbed, tiny, tmp_path):
    swarmbed(*RUN, "--nodes", 2, "--duration", 1, "--content", tiny, "--json", "out/mine.json")
    assert json.loads((tmp_path / "out" / "mine.json").read_text(encoding="utf-8"))["seed"] == 1


def test_results_are_kept_when_the_json_can_no_longer_be_written(swarmbed, tiny, tmp_path):
    outcome = swarmbed(*RUN, "--nodes", 2, "--duration", 1, "--content", tiny, "--json", "/dev/full")
    assert_refused(outcome, "--json")
    assert "see out/result.json" in outcome.err
    assert (tmp_path / "out" / "result.json").is_file()


def test_options_outrank_settings_and_settings_the_file_and_the_file_defaults(swarmbed, tiny, tmp_path):
    (tmp_path / "p.toml").write_text("nodes = 5\nduration_s = 9\nloss = 0.01\nzipf = 1.5", encoding="utf-8")
    settings = ["--set", "nodes=4", "--set", "duration_s=7", "--set", "loss=0.02", "--set", "loss=0.03"]
    outcome = swarmbed(
        *RUN, "--content", tiny, "--params", "p.toml", *settings, "--nodes", 3, "--duration", 1, "--json", "-"
    )
    params = json.loads(outcome.out)["params"]
    assert (params["nodes"], params["duration_s"]) == (3, 1.0)  # options
    assert params["loss"] == 0.03  # the last --set
    assert params["zipf"] == 1.5  # the file
    assert params["delay_s"] == 0.02  # default


def test_a_directory_whose_name_is_no_text_can_be_used(swarmbed, tiny):
    outcome = swarmbed(
        "run",
        "flash-crowd",
        "--time",
        "virtual",
        "--quiet",
        "--nodes",
        2,
        "--duration",
        1,
        "--content",
        tiny,
        "--out",
        "out\udcff",
    )
    assert outcome.status in {0, 1}
    assert outcome.err == ""


# -- looking at a run -------------------------------------------------------------------------------------------------------


def test_audit_replays_a_runs_journal(swarmbed, finished):
    outcome = swarmbed("audit", finished.directory)
    assert outcome.status == 0
    assert "I8" in outcome.out


def test_audit_of_a_tampered_journal_is_void(swarmbed, finished, tmp_path):
    raw = bytearray((finished.directory / "ledger.sqlite").read_bytes())
    where = raw.rindex(b"mint")
    raw[where : where + 4] = b"mynt"
    (tmp_path / "ledger.sqlite").write_bytes(raw)
    outcome = swarmbed("audit", tmp_path)
    assert outcome.status == 3
    assert "Traceback" not in outcome.out + outcome.err


def test_audit_of_what_is_no_ledger_is_void(swarmbed, tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 1000)
    outcome = swarmbed("audit", tmp_path)
    assert outcome.status == 3
    assert "Traceback" not in outcome.out + outcome.err


def test_why_explains_an_account(swarmbed, finished):
    outcome = swarmbed("why", finished.directory, "mint")
    assert outcome.status == 0
    assert outcome.out.startswith("mint\n")
    assert len(outcome.out.splitlines()) == 1 + 4  # four nodes were endowed


@pytest.mark.parametrize("account", ["user/ffffffffffffffff", "nobody", ""])
def test_why_of_an_unknown_account_tells_where_to_look(swarmbed, finished, account):
    outcome = swarmbed("why", finished.directory, account)
    assert_refused(outcome, "ACCOUNT")
    assert "`why RUN_DIR mint`" in outcome.err


# -- help -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_names_every_command(swarmbed, arguments):
    outcome = swarmbed(*arguments)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("Usage: ")
    assert all(f"\n  {name} " in outcome.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(swarmbed, name):
    outcome = swarmbed(name, "-h")
    assert (outcome.status, outcome.err) == (0, "")
    assert COMMANDS[name].help
    assert all(option.help for option in COMMANDS[name].params if option.param_type_name == "option")


def test_the_list_tells_questions_and_keys(swarmbed):
    outcome = swarmbed("list")
    assert outcome.status == 0
    assert "flash-crowd\n  A new file appears" in outcome.out
    assert "    loss = 0.05: probability that a datagram is lost, each way (a number from 0 to 0.5)" in outcome.out


def test_the_list_is_json_too(swarmbed):
    rows = {row["name"]: row for row in json.loads(swarmbed("list", "--json").out)}
    assert rows["flash-crowd"]["question"]
    assert rows["flash-crowd"]["params"]["nodes"]["default"] == 20


def test_help_loads_nothing_heavy(start_swarmbed):
    with start_swarmbed("--help", PYTHONPROFILEIMPORTTIME="1") as process:
        _, imported = process.communicate()
    names = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in imported.splitlines() if "|" in line}
    assert "click" in names
    assert not names & {"numpy", "scipy", "trio", "msgspec", "msgpack", "rich", "nacl", "sqlite3"}


def test_what_cannot_be_printed_is_told_in_one_line(tmp_path):
    command = [sys.executable, "-m", "scenarios", "list"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(), check=False
        )
    assert (done.returncode, done.stderr) == (
        3,
        "swarmbed: standard output cannot be written: No space left on device\n",
    )


def test_a_terminal_without_greek_can_show_the_list(start_swarmbed):
    with start_swarmbed("list", PYTHONIOENCODING="ascii", PYTHONUTF8="0") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.isascii()


def test_the_command_to_repeat_is_quoted_for_a_shell(monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(Path("bin") / "swarmbed"), "run", "x", "--set", "impair=loss 1%"])
    assert command_line.again() == "swarmbed run x --set 'impair=loss 1%'"
