"""Files of the experimenter's own: executed once, and every mistake in one becomes one line that names its place."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import ConfigError
from node.plugins import attempt, defined_in, load_file
from node.policies import Policy


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def written(text, name="own.py"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return written


def test_a_file_becomes_a_module_of_a_private_name(write):
    module = load_file(write("answer = 42"), field="F")
    assert module.answer == 42
    assert module.__name__.startswith("swarmbed_file_")


def test_the_same_text_is_executed_once_and_an_edited_file_again(write):
    first = load_file(write("made = object()"), field="F")
    assert load_file(write("made = object()"), field="F") is first
    assert load_file(write("made = object()  # edited"), field="F").made is not first.made


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        ("x = 1\ny = x +", ":2: SyntaxError: invalid syntax"),
        ("\n\nnothing", ":3: NameError: name 'nothing' is not defined"),
        ("import no_such_module", ":1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f():\n    raise ValueError('two\\nlines')\nf()", ":2: ValueError: two lines"),
        ("import json\njson.loads('{')", ":2: JSONDecodeError: "),  # the line in the file, not in the library
        ("raise SystemExit('out')", ":1: SystemExit: out"),
        ("class Odd(Exception): pass\nraise Odd", ":2: Odd: "),
        ("x = '\0'", "null bytes"),
    ],
)
def test_a_failure_is_one_line_that_names_file_line_and_error(write, text, blamed):
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_file(path, field="F")
    assert caught.value.field == "F"
    assert path + blamed in caught.value.allowed or blamed in caught.value.allowed
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "why"), [("missing.py", "No such file"), (".", "Is a directory"), ("\0.py", "null")])
def test_what_cannot_be_read_is_refused(tmp_path, name, why):
    with pytest.raises(ConfigError, match=rf"that can be read \(.*{why}"):
        load_file(f"{tmp_path}/{name}", field="F")


def test_a_configuration_error_passes_as_it_is():
    def refuse():
        raise ConfigError("loss", 2, "less")

    with pytest.raises(ConfigError, match=r"^loss: 2"):
        attempt(refuse, field="F", path="own.py")


def test_only_classes_defined_in_the_file_itself_are_found(write):
    text = (
        "from node.policies.fixed import Fixed\n"
        "from node.policies import Policy\n"
        "class Mine(Fixed): pass\n"
        "class Abstract(Policy): pass\n"
    )
    assert [kind.__name__ for kind in defined_in(load_file(write(text), field="F"), Policy)] == ["Mine"]


@given(text=st.text(max_size=30))
def test_any_text_is_a_module_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("own") / "own.py"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(ConfigError):
        load_file(str(path), field="F")
