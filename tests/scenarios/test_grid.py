"""The grid of a sweep: every combination once, and every mistake refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import ConfigError
from scenarios.grid import MOST_RUNS, cells, read_over, read_seeds


def test_values_are_split_at_commas_and_keys_at_the_first_equals_sign():
    assert read_over(["loss=0, 0.1", "impair=a=b"]) == {"loss": ["0", "0.1"], "impair": ["a=b"]}


@pytest.mark.parametrize("settings", [["loss"], ["=1"], ["loss="], ["loss=1,,2"], ["loss=1,1"], ["a=1", "a=2"], [""]])
def test_other_words_are_refused(settings):
    with pytest.raises(ConfigError, match="--over"):
        read_over(settings)


@pytest.mark.parametrize(("text", "seeds"), [("1..3", [1, 2, 3]), ("-1..0", [-1, 0]), ("7..7", [7])])
def test_seeds_include_both_ends(text, seeds):
    assert list(read_seeds(text)) == seeds


@pytest.mark.parametrize("text", ["", "3", "3..1", "1...3", "a..b", "1..", "1.5..2", "1..999999", "1..9" + "0" * 30])
def test_other_seeds_are_refused(text):
    with pytest.raises(ConfigError, match="--seeds"):
        read_seeds(text)


@given(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.text(max_size=2), min_size=1, max_size=3, unique=True)),
    st.integers(-5, 5),
    st.integers(1, 4),
)
def test_every_combination_comes_once(over, first, count):
    found = [(tuple(values.items()), seed) for values, seed in cells(over, range(first, first + count))]
    runs = count
    for values in over.values():
        runs *= len(values)
    assert len(set(found)) == len(found) == runs


def test_seeds_vary_fastest_and_the_first_key_slowest():
    found = [(*values.values(), seed) for values, seed in cells({"a": ["1", "2"], "b": ["x", "y"]}, range(1, 3))]
    assert found[:5] == [("1", "x", 1), ("1", "x", 2), ("1", "y", 1), ("1", "y", 2), ("2", "x", 1)]


def test_a_grid_without_end_is_refused():
    many = [str(n) for n in range(1_000)]
    with pytest.raises(ConfigError, match=f"at most {MOST_RUNS} runs"):
        list(cells({"a": many, "b": many}, range(1)))
