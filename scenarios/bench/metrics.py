"""trio: what a scrape of 50,000 series costs against prometheus-client's own `generate_latest` (it reads the clocks).

1,000 nodes with 50 counters each, of all sizes. Both make the text of the same numbers; the baseline's collector hands them over as
prometheus-client's own metrics, which is the cheapest that it offers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import generate_latest

from netem.metric import Family, Label, counter
from netem.randomness import keyed_generator
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns
from scenarios.exposition import Exposition

NODES = 1_000
COUNTERS = 50
LARGEST_DIGITS = 9


class Scrape(Bench):
    """Text of many series, in slices, against all at once."""

    name = "metrics"
    goal = "50,000 series within 20 ms, no slice longer than 5 ms, at most 0.1 times the CPU of generate_latest"

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield CPU milliseconds a scrape, then the longest slice."""
        exposition = _filled(effort.of(NODES))
        list(exposition.slices())  # names and labels are rendered at the first scrape
        slices: list[float] = []

        def ours() -> float:
            cpu_ms, longest_ms = _scrape_ms(exposition)
            slices.append(longest_ms)
            return cpu_ms

        subject, baseline = take_turns(ours, lambda: _stock_ms(exposition), repetitions=effort.repetitions)
        yield Figure(
            name=self.name,
            what="one scrape from plain numbers, over generate_latest of the same registry",
            unit="ms CPU/scrape",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=0.1, at_most=True),
        )
        yield Figure(
            name="metrics, time",
            what="the same, against the time that a scrape may take",
            unit="ms CPU/scrape",
            subject=subject,
            baseline=[20.0] * len(subject),
            goal=Goal(limit=20.0, at_most=True, of_subject=True),
        )
        yield Figure(
            name="metrics, slice",
            what="the longest slice of a scrape, over what generate_latest holds the event loop up for",
            unit="ms",
            subject=slices,
            baseline=baseline,
            goal=Goal(limit=5.0, at_most=True, of_subject=True),
            note="wall-clock time, with whatever else the host does",
        )


class _Counters(Family):
    """Many counters with a label for the node."""

    name = "counters"
    metrics = tuple(
        counter(f"swarmbed_bench_{number}_total", "A number.", Label("node", most=NODES)) for number in range(COUNTERS)
    )
    panels = ()


def _filled(nodes: int) -> Exposition:
    exposition = Exposition({_Counters.name: _Counters}, info={}, now_ns=lambda: 0)
    family = exposition.families[_Counters.name]
    chance = keyed_generator(1, "metrics")
    for metric in family.metrics:
        digits = chance.integers(1, LARGEST_DIGITS, size=nodes, endpoint=True)
        for node, number in enumerate(chance.integers(0, 10**digits).tolist()):
            family.set(metric.name, number, f"node-{node}")
    return exposition


def _scrape_ms(exposition: Exposition) -> tuple[float, float]:
    """Return the CPU milliseconds of a scrape, and the milliseconds of its longest slice."""
    began_s, resumed_s, longest_s = time.process_time(), time.perf_counter(), 0.0
    for _ in exposition.slices():
        now_s = time.perf_counter()
        longest_s = max(longest_s, now_s - resumed_s)
        resumed_s = now_s
    return (time.process_time() - began_s) * 1e3, longest_s * 1e3


def _stock_ms(exposition: Exposition) -> float:
    began_s = time.process_time()
    generate_latest(exposition.registry)
    return (time.process_time() - began_s) * 1e3
