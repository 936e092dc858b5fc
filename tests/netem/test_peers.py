"""The page that compares us with our peers: complete, and every proof it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import click
import pytest

from scenarios.cli import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "netem/PEERS.md").read_text(encoding="utf-8")
ROWS = {row[0]: row[1:] for row in re.findall(r"^\| (\w+) \| (.+?) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)}
TESTS = sorted(set(re.findall(r"`(tests/\S+?::\w+)`", PAGE)))
COMMANDS = sorted(set(re.findall(r"`swarmbed ([^`]+)`", PAGE)))


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_is_there_once_in_order():
    rows = re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE)
    assert rows == [*map(str, range(1, 68)), *"ABCDEFGHIJ"]


@pytest.mark.parametrize("row", ROWS)
def test_a_tick_names_its_proof_and_a_cross_its_reason(row):
    _, ours, proof = ROWS[row]
    assert ours in {"✓", "◐", "✗"}
    assert len(proof) > 10
    if ours != "✗":
        assert re.search(r"`(tests/\S+::\w+|swarmbed [^`]+)`", proof)


@pytest.mark.parametrize("test", TESTS)
def test_every_test_named_exists(test):
    path, name = test.split("::")
    assert name in names_in(path)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_named_exists_with_its_options(line):
    command: click.Command = cli
    words = line.split()
    while isinstance(command, click.Group) and words:
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None
        command = found
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_page_is_linked():
    assert "(PEERS.md)" in (ROOT / "netem/README.md").read_text(encoding="utf-8")
