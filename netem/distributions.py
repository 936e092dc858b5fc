"""Pure: the laws of jitter: quantile functions in units of the jitter, and their moments.

Honest laws have mean 0 and, but for `uniform` (half its range is 1, as in tc), deviation 1. The kernel's are its tables, bit for
bit: `pareto` has deviation 0.82 there and a spike at +4.

Source: `normal.c`, `pareto.c`, `paretonormal.c` of iproute2 (the tables, from NISTnet).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from netem.delay_law import Shape

NAMES = ("uniform", "normal", "pareto", "paretonormal")
TABLE_SCALE = 8192.0  # a table's entry that stands for one jitter
TAIL = 2.0**-12  # heavy tails are cut at this share of packets, as NISTnet's grid cuts them: Pareto's V is at most 16
_GRID = 65_536

Quantiles = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Law:
    """One law of jitter, in units of it.

    Args:
        quantiles: maps float64 uniforms in [0, 1) to float64 values, rising, in memory of their own.
        mean: its expectation.
        sd: its standard deviation.
        values: sorted float64, if the law is equally likely values.
    """

    quantiles: Quantiles
    mean: float
    sd: float
    values: np.ndarray | None = None

    @functools.cached_property
    def shape(self) -> Shape:
        """Return its table of quantiles, for predictions."""
        return Shape.of(self.quantiles) if self.values is None else Shape.of_values(self.values)

    def furthest(self) -> float:
        """Return the largest distance from the mean; infinity where there is none."""
        ends = self.quantiles(np.array([0.0, 1.0]))
        return float(np.abs(ends - self.mean).max())


@functools.lru_cache(maxsize=64)
def law(name: str, table: bytes = b"", *, kernel: bool = False) -> Law:
    """Return a law by name, or the one of a table (int16, little-endian).

    Args:
        name: one of `NAMES`, or anything with a table.
        table: the entries of a custom table, none for a named law.
        kernel: as the kernel draws it.

    Raises:
        KeyError: there is no such law.
    """
    if name == "uniform" and not table:
        return _UNIFORM
    if table or kernel:
        entries = np.frombuffer(table, dtype="<i2").astype(np.int64) if table else kernel_table(name)
        return _of_table(entries, kernel=kernel)
    return {"normal": _normal, "pareto": _pareto, "paretonormal": _paretonormal}[name]()


@functools.cache
def kernel_table(name: str) -> np.ndarray:
    """Return the 4096 entries (int64, rising but for `paretonormal`'s rounding) of the kernel's table; KeyError if unknown."""
    from scipy.special import ndtri

    index = np.arange(4096)
    grid = 20_000  # `normal.c` tries x in steps of 1/20,000 and keeps the last that rounds to an entry
    normal = np.clip(np.rint(np.floor(ndtri((4 * index + 0.5) / 16_384) * grid) / grid * TABLE_SCALE), -32_768, 32_767)
    tail = np.minimum(np.rint((((4096 - index) / 4096) ** (-1 / 3) - 1.5) * (4 / 3) * TABLE_SCALE), 32_767)
    tables = {"normal": normal, "pareto": tail, "paretonormal": np.trunc(0.25 * normal + 0.75 * tail)}
    return tables[name].astype(np.int64)


_UNIFORM = Law(lambda u: 2.0 * u - 1.0, mean=0.0, sd=1 / math.sqrt(3))


def _normal() -> Law:
    from scipy.special import ndtri

    return Law(ndtri, mean=0.0, sd=1.0)


def _pareto() -> Law:
    """Pareto of shape 3, V = U^(-1/3) for U uniform above `TAIL`, then shifted and scaled to mean 0 and deviation 1."""
    cut, width = TAIL, 1.0 - TAIL
    mean = 1.5 * (1.0 - cut ** (2 / 3)) / width
    sd = math.sqrt(3.0 * (1.0 - cut ** (1 / 3)) / width - mean**2)
    return Law(lambda u: ((1.0 - u * width) ** (-1 / 3) - mean) / sd, mean=0.0, sd=1.0)


def _paretonormal() -> Law:
    """A quarter of the normal and three quarters of Pareto's quantile, both cut at `TAIL`, then mean 0 and deviation 1."""
    from scipy.special import ndtri

    width = 1.0 - 2.0 * TAIL

    def mixed(u: np.ndarray) -> np.ndarray:
        inner = TAIL + u * width
        quantiles: np.ndarray = 0.25 * ndtri(inner) + ((1.0 - inner) ** (-1 / 3) - 1.5)
        return quantiles

    values = mixed((np.arange(_GRID) + 0.5) / _GRID)
    mean, sd = float(values.mean()), float(values.std())
    return Law(lambda u: (mixed(u) - mean) / sd, mean=0.0, sd=1.0)


def _of_table(entries: np.ndarray, *, kernel: bool) -> Law:
    """Return the law of equally likely entries; honest ones are shifted and scaled to mean 0 and deviation 1."""
    values = np.sort(entries) / TABLE_SCALE
    if not kernel:
        values = (values - values.mean()) / values.std()
    mean, sd = float(values.mean()), float(values.std())

    def quantiles(u: np.ndarray) -> np.ndarray:
        found: np.ndarray = values[np.minimum((u * len(values)).astype(np.int64), len(values) - 1)]
        return found

    return Law(quantiles, mean=mean, sd=sd, values=values)
