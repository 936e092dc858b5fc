"""Pure: what was done to the network on purpose: counted, and marked on every panel."""

from __future__ import annotations

from collections.abc import Mapping

from netem.clock import S
from netem.events import Event
from netem.faults import KINDS, WORDS, FaultMade
from netem.metric import Family, Handler, Label, Panel, Query, counter, gauge

FAULT_TIME = "swarmbed_fault_timestamp_seconds"
_KIND = Label("kind", KINDS)


class Faults(Family):
    """What scenarios and people do to the network while it runs."""

    name = "faults"
    metrics = (
        counter("swarmbed_faults_total", "Live changes made to the network.", _KIND),
        gauge(FAULT_TIME, "When the last live change of a kind was made, Unix time.", _KIND),
    )
    panels = (
        Panel(
            dashboard="network",
            order=3,
            title="Faults made",
            description="What was done to the network on purpose so far; every panel marks when. "
            + "; ".join(f"{kind}: {words}" for kind, words in WORDS.items())
            + ".",
            unit="short",
            look="stat",
            width=24,
            height=4,
            queries=(
                Query(expr="sum(swarmbed_faults_total{@})", legend="all"),
                Query(expr="sum by (kind) (swarmbed_faults_total{@}) > 0", legend="{{kind}}"),
            ),
        ),
    )

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to count a fault."""
        return {FaultMade: self._fault}

    def _fault(self, time_ns: int, event: FaultMade) -> None:
        self.add("swarmbed_faults_total", 1, event.kind)
        self.set(FAULT_TIME, time_ns / S, event.kind)
