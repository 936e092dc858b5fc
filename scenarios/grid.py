"""Pure: the grid of a sweep: every combination of values and seeds, in the order in which they were given."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from netem.errors import ConfigError

MOST_RUNS = 100_000


def read_over(settings: Iterable[str]) -> dict[str, list[str]]:
    """Read `key=v1,v2` settings.

    Raises:
        ConfigError: no `=`, no key, an empty or repeated value, or a repeated key.
    """
    over: dict[str, list[str]] = {}
    for setting in settings:
        key, equals, listed = setting.partition("=")
        key, values = key.strip(), [value.strip() for value in listed.split(",")]
        if not equals or not key or not all(values) or len(set(values)) < len(values):
            raise ConfigError("--over", setting, "key=v1,v2,... with different values")
        if key in over:
            raise ConfigError("--over", setting, f"each key once, and {key} is there already")
        over[key] = values
    return over


def read_seeds(text: str) -> range:
    """Read `A..B`, both included.

    Raises:
        ConfigError: it is something else, or B is before A.
    """
    match = re.fullmatch(r"(-?\d{1,18})\.\.(-?\d{1,18})", text)
    seeds = range(int(match[1]), int(match[2]) + 1) if match else range(0)
    if not 0 < len(seeds) <= MOST_RUNS:
        raise ConfigError("--seeds", text, f"A..B, whole numbers with A <= B, at most {MOST_RUNS} of them")
    return seeds


def cells(over: Mapping[str, Sequence[str]], seeds: range) -> Iterator[tuple[dict[str, str], int]]:
    """Yield the values and the seed of every run: the last key varies fastest, and seeds faster still.

    Raises:
        ConfigError: there are more than `MOST_RUNS`.
    """
    runs = len(seeds)
    for values in over.values():
        runs *= len(values)
    if runs > MOST_RUNS:
        raise ConfigError("--over", f"{runs} runs", f"at most {MOST_RUNS} runs")
    for values in itertools.product(*over.values()):
        for seed in seeds:
            yield dict(zip(over, values, strict=True)), seed
