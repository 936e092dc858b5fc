"""The table of a sweep as files: every row and column, of one type each, and never half a file."""

from __future__ import annotations

import csv

import pytest

from scenarios import rows
from scenarios.rows import columns_of, write_csv, write_parquet

ROWS = [{"run": "1", "a": 1, "b": True, "c": "x"}, {"run": "2", "a": 0.5, "c": 3}, {"run": "3", "a": None, "d": 7}]


def test_columns_are_the_union_in_order_and_of_one_type():
    assert columns_of(ROWS) == {
        "run": ["1", "2", "3"],
        "a": [1.0, 0.5, None],
        "b": [True, None, None],
        "c": ["x", "3", None],
        "d": [None, None, 7],
    }


def test_the_csv_has_a_row_each_and_nothing_is_an_empty_cell(tmp_path):
    write_csv(tmp_path / "t.csv", ROWS)
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["a"] for row in found] == ["1.0", "0.5", ""]
    assert [row["d"] for row in found] == ["", "", "7"]
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_table_of_nothing_can_be_written(tmp_path):
    write_csv(tmp_path / "t.csv", [])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").strip() == ""


def test_the_parquet_file_holds_the_same_table(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `analysis`")
    assert write_parquet(tmp_path / "t.parquet", ROWS)
    assert parquet.read_table(tmp_path / "t.parquet").to_pydict() == columns_of(ROWS)


def test_without_pyarrow_there_is_no_parquet_file(tmp_path, monkeypatch):
    monkeypatch.setattr(rows.importlib.util, "find_spec", lambda _: None)
    assert not write_parquet(tmp_path / "t.parquet", ROWS)
    assert not list(tmp_path.iterdir())
