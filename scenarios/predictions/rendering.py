"""Pure: an answer as lines for a person; JSON has all digits and all entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_COLUMNS = 12
_ROWS = 20


def lines_of(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line per number or list, and a block per matrix; of long ones the beginning, and how many there are."""
    width = max(len(key) for key in answer)
    for key, value in answer.items():
        if isinstance(value, Mapping):
            yield key
            yield from (f"  {line}" for line in lines_of(value))
        elif isinstance(value, Sequence) and value and isinstance(value[0], list):
            yield f"{key} ({len(value)} rows)"
            yield from (f"  {_row(row)}" for row in value[:_ROWS])
            if len(value) > _ROWS:
                yield f"  ... {len(value)} in all"
        else:
            yield f"{key:<{width}}  {_row(value) if isinstance(value, list) else _one(value)}"


def _row(values: Sequence[Any]) -> str:
    more = f" ... {len(values)} in all" if len(values) > _COLUMNS else ""
    return "  ".join(_one(value) for value in values[:_COLUMNS]) + more


def _one(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)
