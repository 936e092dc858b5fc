"""Pure: the distribution of the delays of all links with equal impairments: its quantiles, and its largest distance from the law.

Links with equal impairments are judged together because only together they have enough packets to show a tail, and because a
histogram for each of many thousand links would cost more memory than the rest of the run. Means and deviations are judged for each link.

Source: DESIGN section 3; Dvoretzky, Kiefer, Wolfowitz 1956 with Massart's constant for the distance, Chernoff's bound for
a single quantile. Both hold for every number of packets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netem.clock import S
from netem.delay_histograms import BINS, Class, edges_ns
from netem.delay_law import CELL, DelayLaw
from netem.host_time import HostTime
from netem.link_config import LinkConfig
from netem.link_count import Columns
from netem.verdicts import Verdicts

QUANTILES = {"delay_p5": 0.05, "delay_p50": 0.5, "delay_p95": 0.95, "delay_p99": 0.99}
DISTANCE = "delay_distance"
TESTS = len(QUANTILES) + 1
_BISECTIONS = 40


@dataclass(frozen=True, eq=False)
class Sample:
    """The delays that receivers saw of a class: the counts of its histogram, and how many were not seen."""

    impairments: Class
    law: DelayLaw
    counts: np.ndarray
    unseen: int

    @property
    def packets(self) -> int:
        """Delays counted."""
        return int(self.counts.sum())


def samples(delays: Mapping[Class, np.ndarray], columns: Columns) -> list[Sample]:
    """Return the classes that have received something."""
    unseen: dict[Class, int] = dict.fromkeys(delays, 0)
    for index, config in enumerate(columns.configs):
        exposed = columns.exposed_link[columns.exposed_config == index]
        if config.impairments in unseen:
            unseen[config.impairments] += int(columns.unseen[exposed].sum())
    found = []
    for key, counts in delays.items():
        config = LinkConfig(key)
        law = None if "quantiles" in config.unjudged() else config.delay_law()
        if law is not None and counts.any():
            found.append(Sample(key, law, counts, unseen=unseen[key]))
    return found


def judge_quantiles(found: Sequence[Sample], *, level: float, host: HostTime) -> list[Verdicts]:
    """Judge each sample's quantiles (s) and its distance from the law (the largest difference of shares), each at `level`."""
    rows = [_judge(sample, level, host) for sample in found]
    verdicts = []
    for index, name in enumerate((*QUANTILES, DISTANCE)):
        columns = np.array([row[index] for row in rows]).reshape(-1, 5).T
        verdicts.append(
            Verdicts(
                name=name,
                realised=columns[0],
                configured=columns[1],
                low=columns[2],
                high=columns[3],
                error=columns[4],
                judged=np.ones(len(rows), dtype=bool),
                why=np.full(len(rows), None, dtype=object),
            )
        )
    return verdicts


def _judge(sample: Sample, level: float, host: HostTime) -> list[tuple[float, ...]]:
    """Return rows of realised, configured, low, high and error."""
    edges_s = edges_ns(sample.law) / S
    below = np.cumsum(sample.counts)[:-1] / sample.packets
    rows = [_quantile(sample, probability, level, host, edges_s, below) for probability in QUANTILES.values()]
    return [*rows, _distance(sample, level, host, edges_s, below)]


def _quantile(  # noqa: PLR0917 - all that is known of one class, worked out once for all its quantiles
    sample: Sample, probability: float, level: float, host: HostTime, edges_s: np.ndarray, below: np.ndarray
) -> tuple[float, ...]:
    law, independent = sample.law, sample.packets / sample.law.memory
    unseen = sample.unseen / sample.packets + CELL
    bits = math.log(2.0 / level) / independent
    divergence = _distant if law.correlation else _divergence
    low = law.quantile_s(max(_furthest(probability, 0.0, bits, divergence) - unseen, 0.0)) - host.early_s
    highest = _furthest(probability, 1.0, bits, divergence) + unseen
    # Beyond the last packet but those that were later there is no bound, but the law's end and the latest of all.
    high = min(
        law.quantile_s(min(highest + share, 1.0)) + late_s
        for share, late_s in host.later(sample.packets)
        if share == 0.0 or highest + share < 1.0
    )
    sd = math.sqrt(probability * (1.0 - probability) / independent)
    error = (law.quantile_s(min(probability + sd, 1.0)) - law.quantile_s(max(probability - sd, 0.0))) / 2.0
    width_s = edges_s[1] - edges_s[0]
    realised = _interpolated(probability, edges_s, below)
    return realised, law.quantile_s(probability), low - width_s, high + width_s, error


def _interpolated(probability: float, edges_s: np.ndarray, below: np.ndarray) -> float:
    index = int(np.searchsorted(below, probability))
    if index == 0:
        return float(edges_s[0])
    if index > BINS:
        return float(edges_s[-1])
    inside = (probability - below[index - 1]) / (below[index] - below[index - 1])
    return float(edges_s[index - 1] + inside * (edges_s[index] - edges_s[index - 1]))


def _furthest(probability: float, end: float, bits: float, divergence: Callable[[float, float], float]) -> float:
    """Return the true share furthest towards `end` (0 or 1) of which a sample may have `probability` below it.

    Chernoff: P(a share of `probability`) <= exp(-n KL(probability, true share)), so KL = `bits` = log(2 / level) / n at most.
    """
    near, far = probability, end
    for _ in range(_BISECTIONS):
        middle = (near + far) / 2.0
        if divergence(probability, middle) < bits:
            near = middle
        else:
            far = middle
    return far


def _divergence(p: float, q: float) -> float:
    return p * math.log(p / q) + (1.0 - p) * math.log((1.0 - p) / (1.0 - q))


def _distant(p: float, q: float) -> float:
    """Return the exponent of Hoeffding's inequality, which holds for Markov chains too (Leon, Perron 2004)."""
    return 2.0 * (p - q) ** 2


def _distance(  # noqa: PLR0917 - as above
    sample: Sample, level: float, host: HostTime, edges_s: np.ndarray, below: np.ndarray
) -> tuple[float, ...]:
    """Return the distance where it is worst against what is allowed there."""
    law = sample.law
    error = math.sqrt(law.memory / (2.0 * sample.packets))
    # With memory each edge is a test of its own, by Hoeffding's inequality.
    edges = len(edges_s) if law.correlation else 1
    band = math.sqrt(math.log(2.0 * edges / level)) * error + sample.unseen / sample.packets + CELL
    shares = law.share_below(edges_s)
    above = law.share_below(edges_s + host.early_s) + band - shares
    under = np.max([law.share_below(edges_s - late_s) - share for share, late_s in host.later(sample.packets)], axis=0)
    room = np.where(below > shares, above, shares - under + band)
    distance = np.abs(below - shares)
    worst = int(np.argmax(distance - room))
    if distance[worst] <= room[worst]:
        worst = int(np.argmax(distance))
    return float(distance[worst]), 0.0, 0.0, float(room[worst]), error
