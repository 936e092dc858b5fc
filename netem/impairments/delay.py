"""Pure: constant delay with jitter of several laws, with or without correlation.

Source: tc-netem `delay` (uniform is its default; jitter is then half the range); `tabledist` of Linux `sch_netem.c`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.clock import S
from netem.correlation import FRESH, filtered_words, normals
from netem.delay_law import DelayLaw, Shape
from netem.distributions import NAMES, TABLE_SCALE, Law, kernel_table, law
from netem.errors import ConfigError
from netem.impairments.base import Columns, Impairment, check_correlation, check_duration
from netem.table_file import read_table

_ALLOWED = f"TIME [JITTER [CORRELATION]] [distribution {'|'.join(NAMES)}|FILE]"
_MOST_KERNEL_JITTER_S = (2**31 - 1) / S
_MOST_FOLDED_JITTER_S = 0.2


@dataclass(frozen=True, slots=True)
class Delay(Impairment):
    """Delay packets by `delay_s` plus a jitter, never by less than 0.

    `jitter_s` is half the range of the `uniform` distribution and the standard deviation of the others. `distribution` names one of
    `NAMES`, or the file that `table` (int16, little-endian) was read from. A `correlation` keeps the distribution (Gaussian copula).
    In the kernel's mode the tables are the kernel's, whose deviation is not 1, and so is the filter; as the kernel then takes the
    draw modulo the table's length, or twice the jitter, its correlation comes to nothing. Jitter reorders packets, unless the link
    has a rate or keeps them `ordered`. A copy's jitter is its own.
    """

    name: ClassVar[str] = "delay"
    tc: ClassVar[tuple[str, ...]] = ("delay",)
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 1

    delay_s: float
    jitter_s: float = 0.0
    distribution: str = "uniform"
    correlation: float = 0.0
    table: bytes = b""
    kernel: bool = False

    def __post_init__(self) -> None:
        check_duration("delay_s", self.delay_s)
        check_duration("jitter_s", self.jitter_s)
        check_correlation("delay", self.correlation)
        if self.kernel and self.jitter_s > _MOST_KERNEL_JITTER_S:
            raise ConfigError("jitter_s", self.jitter_s, "0 to 2.147 s in the kernel's mode")
        if self.kernel and self.correlation and self.jitter_s > _MOST_FOLDED_JITTER_S:
            # Beyond, the filter's law shows through the modulo, and no prediction here would hold.
            raise ConfigError("jitter_s", self.jitter_s, "0 to 0.2 s with a correlation in the kernel's mode")
        if not self.table and self.distribution not in NAMES:
            raise ConfigError("delay distribution", self.distribution, " or ".join(NAMES))
        if self.distribution != "uniform":
            # Not at the first packet: a tenth of a second there would be lag of the event loop.
            importlib.import_module("scipy.special")

    @classmethod
    def from_tc(cls, arguments: Sequence[str], *, kernel: bool = False) -> Self:
        """Read `TIME [JITTER [CORRELATION]] [distribution NAME|FILE]`; as in tc, a distribution needs delay and jitter."""
        words = list(arguments)
        distribution, table = "uniform", b""
        if "distribution" in words:
            place = words.index("distribution")
            distribution = " ".join(words[place + 1 :])
            del words[place:]
            if "/" in distribution or distribution.endswith(".dist"):
                table = read_table(distribution)
            elif distribution not in NAMES:
                allowed = f"{', '.join(NAMES)}, or the path of a table (its file holds integers, 8192 for one jitter)"
                raise ConfigError("delay distribution", distribution, allowed)
        if not 1 <= len(words) <= 3:
            raise ConfigError("delay", " ".join(arguments), _ALLOWED)
        fields = ("delay", "delay jitter")
        times_s = [tc_units.parse_time_s(*pair) for pair in zip(fields, (*words[:2], "0"), strict=False)]
        correlation = tc_units.parse_percent("delay correlation", words[2]) if len(words) > 2 else 0.0
        if distribution != "uniform" and len(words) < 2:
            raise ConfigError("delay", " ".join(arguments), "a delay and a jitter with a distribution")
        return cls(times_s[0], times_s[1], distribution, correlation, table, kernel=kernel)

    def to_tc(self) -> str:
        """Return `delay TIME [JITTER [CORRELATION]] [distribution NAME]`."""
        text = f"delay {tc_units.format_time(self.delay_s)}"
        if self.jitter_s > 0.0:
            text += f" {tc_units.format_time(self.jitter_s)}"
            if self.correlation:
                text += f" {tc_units.format_percent(self.correlation)}"
            if self.distribution != "uniform":
                text += f" distribution {self.distribution}"
        return text

    def is_random(self) -> bool:
        """Say whether there is jitter."""
        return self.jitter_s > 0.0

    def start(self) -> float:
        """Return the state before the first draw."""
        return FRESH

    def state_kind(self) -> str:
        """Return whose draws the state is of."""
        return "kernel" if self.kernel else "normal"

    def decide(self, columns: Columns, uniforms: np.ndarray, state: float) -> float:
        """Add to the delays of packets (row 0) and copies (row 1)."""
        copies = columns.copies
        if not self.is_random():
            alike_ns = np.array([round(self.delay_s * S)])
            columns.delay(alike_ns)
            if copies is not None:
                copies.delay(alike_ns)
            return state
        delays_ns, after = self._delays_ns(uniforms[0], self.correlation, state)
        columns.delay(delays_ns)
        if copies is not None:
            copies.delay(self._delays_ns(uniforms[1], 0.0, FRESH)[0])
        return after

    def _delays_ns(self, uniforms: np.ndarray, rho: float, state: float) -> tuple[np.ndarray, float]:
        if self.kernel:
            words, state = filtered_words(uniforms, rho, state)
            return self._kernel_delays_ns(words), state
        if rho:
            values, state = normals(uniforms, rho, state)
            if self.distribution != "normal":
                from scipy.special import ndtr

                values = self._law().quantiles(ndtr(values))
        else:
            values = self._law().quantiles(uniforms)
        values *= self.jitter_s * S  # in place: fresh memory costs as much as the sums
        values += self.delay_s * S
        if _reaches_0(self):
            np.maximum(values, 0.0, out=values)
        np.rint(values, out=values)
        return values.astype(np.int64), state

    def _kernel_delays_ns(self, words: np.ndarray) -> np.ndarray:
        delay_ns, jitter_ns = round(self.delay_s * S), round(self.jitter_s * S)
        if self.distribution == "uniform" and not self.table:
            uniform_ns: np.ndarray = np.maximum(delay_ns - jitter_ns + words % (2 * max(jitter_ns, 1)), 0)
            return uniform_ns
        entries = np.frombuffer(self.table, "<i2").astype(np.int64) if self.table else kernel_table(self.distribution)
        entry = entries[words % len(entries)]
        whole, rest = divmod(jitter_ns, int(TABLE_SCALE))
        half = np.where(entry >= 0, 4096, -4096)  # rounded half away from zero, as C's division then cuts towards it
        part = np.trunc((rest * entry + half) / TABLE_SCALE).astype(np.int64)
        delays_ns: np.ndarray = np.maximum(delay_ns + whole * entry + part, 0)
        return delays_ns

    def _law(self) -> Law:
        return law(self.distribution, self.table, kernel=self.kernel)

    def delay_law(self) -> DelayLaw:
        """Return the law, the clamp at 0 included; in the kernel's mode a correlation comes to nothing."""
        return _law(self.delay_s, self.jitter_s, self._law().shape, 0.0 if self.kernel else self.correlation)

    def unjudged(self) -> dict[str, str]:
        """Say that jitter reorders by as much as the sender's spacing lets it."""
        return {"reorder": "jitter reorders by how closely packets were sent"} if self.is_random() else {}

    def mean_delay_s(self) -> float:
        """Return the expected delay, the clamp at 0 included."""
        return self.delay_law().mean_s

    def delay_sd_s(self) -> float:
        """Return the standard deviation before the clamp at 0, which only narrows it."""
        return self.jitter_s * self._law().sd

    def furthest_s(self) -> float:
        """Return how far at most a delay strays from its mean, before the clamp; infinity where there is no such limit."""
        return self.jitter_s * self._law().furthest()

    def memory(self) -> float:
        """Return the correlation, if it has an effect."""
        return 0.0 if self.kernel else self.correlation


@functools.lru_cache(maxsize=1024)
def _reaches_0(delay: Delay) -> bool:
    """Say whether jitter may outweigh the delay: to clamp what needs it not costs as much as any other step."""
    return delay.furthest_s() > delay.delay_s


@functools.lru_cache(maxsize=1024)
def _law(delay_s: float, jitter_s: float, shape: Shape, correlation: float) -> DelayLaw:
    if jitter_s == 0.0:
        return DelayLaw(delay_s)
    law = DelayLaw(delay_s, jitter_s, shape, correlation)
    return law if law.quantile_s(0.0) >= 0.0 else law.clamped()
