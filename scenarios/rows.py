"""trio: the table of a sweep, one row per run, as `sweep.csv` and, when pyarrow is there, `sweep.parquet`. Blocking."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from scenarios.campaign import Findings
from scenarios.jobs import Outcome
from scenarios.parameters import Params, fill
from scenarios.summaries import VERDICTS

Row = Mapping[str, Any]
_COUNTS = ("downloads_finished", "downloads_stopped", "blocks_delivered", "bytes_accepted", "datagrams_sent", "events")


def rows_of(findings: Findings) -> list[Row]:
    """Return a row per run: the swept keys, seed, verdict, then every claim, key counts and all parameters.

    A run without a result has its parameters and what it said; a claim that a run did not make is missing from its row.
    """
    kind = findings.campaign.scenario.params
    return [_row(outcome, kind) for outcome in findings.outcomes]


def _row(outcome: Outcome, kind: type[Params]) -> Row:
    job, result = outcome.job, outcome.result
    params = msgspec.to_builtins(fill(kind, job.values))
    row: dict[str, Any] = {"run": job.name, **{key: params[key] for key in job.labels}, "seed": job.seed}
    row |= {"status": outcome.status, "verdict": VERDICTS[outcome.status], "wall_s": round(outcome.wall_s, 3)}
    row["said"] = outcome.said
    if result is not None:
        row["fidelity_valid"] = result["fidelity"]["valid"]
        for claim in result["claims"]:
            row |= {f"{claim['name']}: {part}": claim[part] for part in ("predicted", "measured", "ok")}
        row |= {name: result["counts"][name] for name in _COUNTS}
        row["digest"] = result["digest"]
    return row | {key: value for key, value in params.items() if key not in job.labels}


def columns_of(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return the table by columns, each of one type (numbers beside text become text), None where a row has nothing."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _alike([row.get(name) for row in rows]) for name in names}


def _alike(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return values
    common = float if kinds == {int, float} else str
    return [None if value is None else common(value) for value in values]


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write a table as CSV in UTF-8; the file is whole at any time. Nothing is an empty cell."""
    draft = path.with_suffix(".part")
    columns = columns_of(rows)
    with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    draft.replace(path)


def write_parquet(path: Path, rows: Sequence[Row]) -> bool:
    """Write a table as Parquet, if pyarrow is there; return whether it is."""
    if importlib.util.find_spec("pyarrow") is None:
        return False
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns_of(rows)), os.fspath(path))
    return True
