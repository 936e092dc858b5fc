"""Pure: constant delay with uniform or normal jitter.

Source: tc-netem `delay` (uniform is its default; jitter is then half the range).
"""

from __future__ import annotations

import functools
import importlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from netem import tc_units
from netem.clock import S
from netem.delay_law import CONSTANT, UNIFORM, DelayLaw, Shape, normal
from netem.errors import ConfigError
from netem.impairments.base import Columns, Impairment, check_duration

DISTRIBUTIONS = ("uniform", "normal")


@dataclass(frozen=True, slots=True)
class Delay(Impairment):
    """Delay packets by `delay_s` plus a jitter, never by less than 0.

    `jitter_s` is half the range of the `uniform` distribution, the standard deviation of the `normal` one. Jitter
    reorders packets, unless the link has a rate.
    """

    name: ClassVar[str] = "delay"
    tc: ClassVar[tuple[str, ...]] = ("delay",)
    rows: ClassVar[int] = 1
    copy_rows: ClassVar[int] = 1

    delay_s: float
    jitter_s: float = 0.0
    distribution: str = "uniform"

    def __post_init__(self) -> None:
        check_duration("delay_s", self.delay_s)
        check_duration("jitter_s", self.jitter_s)
        if self.distribution not in DISTRIBUTIONS:
            raise ConfigError("delay distribution", self.distribution, " or ".join(DISTRIBUTIONS))
        if self.distribution == "normal":
            # Not at the first packet: a tenth of a second there would be lag of the event loop.
            importlib.import_module("scipy.special")

    @classmethod
    def from_tc(cls, arguments: Sequence[str]) -> Self:
        """Read `TIME [JITTER [distribution uniform|normal]]`; as in tc, a distribution needs delay and jitter."""
        words = list(arguments)
        distribution = "uniform"
        if "distribution" in words:
            place = words.index("distribution")
            distribution = " ".join(words[place + 1 :])
            del words[place:]
        allowed = "TIME [JITTER [distribution uniform|normal]] (no correlation)"
        if not 1 <= len(words) <= 2 or (distribution != "uniform" and len(words) < 2):
            raise ConfigError("delay", " ".join(arguments), allowed)
        times_s = [tc_units.parse_time_s("delay", word) for word in (*words, "0")]
        return cls(times_s[0], times_s[1], distribution)

    def to_tc(self) -> str:
        """Return `delay TIME [JITTER [distribution normal]]`."""
        text = f"delay {tc_units.format_time(self.delay_s)}"
        if self.jitter_s > 0.0:
            text += f" {tc_units.format_time(self.jitter_s)}"
            if self.distribution != "uniform":
                text += f" distribution {self.distribution}"
        return text

    def is_random(self) -> bool:
        """Say whether there is jitter."""
        return self.jitter_s > 0.0

    def decide(self, columns: Columns, uniforms: np.ndarray, state: int) -> int:
        """Add to the delays of packets (row 0) and copies (row 1)."""
        if not self.is_random():
            columns.delay_ns += round(self.delay_s * S)
            columns.copy_delay_ns += round(self.delay_s * S)
            return state
        columns.delay_ns += self._delays_ns(uniforms[0])
        if columns.copying:
            columns.copy_delay_ns += self._delays_ns(uniforms[1])
        return state

    def _delays_ns(self, uniforms: np.ndarray) -> np.ndarray:
        if self.distribution == "normal":
            # Imported late, see `__post_init__`: most links have no normal jitter.
            from scipy.special import ndtri

            delays_ns: np.ndarray = ndtri(uniforms)
        else:
            delays_ns = 2.0 * uniforms - 1.0
        delays_ns *= self.jitter_s * S  # in place: fresh memory costs as much as the sums
        delays_ns += self.delay_s * S
        np.maximum(delays_ns, 0.0, out=delays_ns)
        np.rint(delays_ns, out=delays_ns)
        return delays_ns.astype(np.int64)

    def mean_delay_s(self) -> float:
        """Return the expected delay, the clamp at 0 included."""
        mean, jitter = self.delay_s, self.jitter_s
        if jitter == 0.0:
            return mean
        if self.distribution == "normal":
            normal = statistics.NormalDist()
            return mean * normal.cdf(mean / jitter) + jitter * normal.pdf(mean / jitter)
        return mean if mean >= jitter else (mean + jitter) ** 2 / (4.0 * jitter)

    def delay_law(self) -> DelayLaw:
        """Return the law, the clamp at 0 included."""
        return _law(self.delay_s, self.jitter_s, self.distribution)

    def unjudged(self) -> dict[str, str]:
        """Say that jitter reorders by as much as the sender's spacing lets it."""
        return {"reorder": "jitter reorders by how closely packets were sent"} if self.is_random() else {}

    def delay_sd_s(self) -> float:
        """Return the standard deviation before the clamp at 0."""
        return self.jitter_s if self.distribution == "normal" else self.jitter_s / math.sqrt(3.0)


@functools.lru_cache(maxsize=1024)
def _law(delay_s: float, jitter_s: float, distribution: str) -> DelayLaw:
    if jitter_s == 0.0:
        return DelayLaw(delay_s, 0.0, CONSTANT)
    shape = normal() if distribution == "normal" else UNIFORM
    if delay_s + jitter_s * shape.quantiles[0] >= 0.0:
        return DelayLaw(delay_s, jitter_s, shape)
    return DelayLaw(0.0, 1.0, Shape(np.maximum(delay_s + jitter_s * shape.quantiles, 0.0)))
