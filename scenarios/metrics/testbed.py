"""Pure: the testbed's own health: events, clock, and the process as prometheus-client sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netem.clock import S
from netem.metric import Family, Panel, Query, counter, gauge

if TYPE_CHECKING:
    from netem.events import EventStream

_EVENTS, _CLOCK = "swarmbed_events_total", "swarmbed_clock_timestamp_seconds"
_SCRAPE = "swarmbed_scrape_duration_seconds"


class Testbed(Family):
    """Events and clock of the run."""

    name = "testbed"
    reads = "events"
    metrics = (
        counter(_EVENTS, "Events of the run so far."),
        gauge(_CLOCK, "The run's clock, Unix time; a simulated one has a start of its own."),
    )
    panels = (
        Panel(
            dashboard="health",
            order=0,
            title="CPU",
            description="Cores that this process uses. The event loop has one: near 1 it lags, and the run becomes void.",
            unit="short",
            look="stat",
            width=6,
            height=4,
            limit=0.9,
            queries=(Query(expr="sum(rate(process_cpu_seconds_total{@}[$__rate_interval]))", legend="cores"),),
        ),
        Panel(
            dashboard="health",
            order=1,
            title="Memory",
            description="Resident memory of this process. It grows with the events kept for the claims, and slowly.",
            unit="bytes",
            look="stat",
            width=6,
            height=4,
            queries=(Query(expr="sum(process_resident_memory_bytes{@})", legend="resident"),),
        ),
        Panel(
            dashboard="health",
            order=2,
            title="Open files",
            description="Sockets mostly: about two a node.",
            unit="short",
            look="stat",
            width=6,
            height=4,
            queries=(Query(expr="sum(process_open_fds{@})", legend="open"),),
        ),
        Panel(
            dashboard="health",
            order=3,
            title="Clock",
            description="How far the run's clock is from that of Prometheus. In real time it is zero, but for the time of a scrape.",
            unit="s",
            look="stat",
            width=6,
            height=4,
            queries=(Query(expr=f"max({_CLOCK}{{@}}) - time()", legend="ahead"),),
        ),
        Panel(
            dashboard="health",
            order=11,
            title="CPU over time",
            description="Cores used, and the one core that the event loop has.",
            unit="short",
            queries=(
                Query(expr="sum(rate(process_cpu_seconds_total{@}[$__rate_interval]))", legend="used"),
                Query(expr="count(process_cpu_seconds_total{@})", legend="event loop's cores", theory=True),
            ),
        ),
        Panel(
            dashboard="health",
            order=20,
            title="Events",
            description="Events of the run per second. Each is hashed, written to the trace and folded.",
            unit="ops",
            queries=(Query(expr=f"sum(rate({_EVENTS}{{@}}[$__rate_interval]))", legend="events"),),
        ),
        Panel(
            dashboard="health",
            order=21,
            title="Cost of being watched",
            description="Mean time that one reading of all metrics takes, for a scrape or the live page, waiting between its slices included.",
            unit="s",
            queries=(
                Query(
                    expr=f"sum(rate({_SCRAPE}_sum{{@}}[$__rate_interval])) / sum(rate({_SCRAPE}_count{{@}}[$__rate_interval]))",
                    legend="scrape",
                ),
            ),
        ),
    )

    def gather(self, now_ns: int) -> Iterator[None]:
        """Read the clock and the event stream."""
        events: EventStream | None = self.source
        if events is not None:
            self.set(_EVENTS, events.count)
            self.set(_CLOCK, now_ns / S)
        yield
