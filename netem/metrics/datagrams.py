"""Pure: what became of the datagrams, and whether loss and delay are what the links were told: theory beside measurement.

Counted per link by sender and receiver, and added up over the links, and over the processes of a run (see `netem.reading`).

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netem.clock import S
from netem.fates import Cause
from netem.metric import Family, Label, Panel, Query, counter, gauge

if TYPE_CHECKING:
    from netem.network import Network

_FATES = ("delivered", *(cause.name.lower() for cause in Cause))
_EXPOSED, _LOST, _LOST_THEORY = (
    "swarmbed_netem_exposed_datagrams_total",
    "swarmbed_netem_lost_datagrams_total",
    "swarmbed_netem_lost_datagrams_predicted_total",
)
_DELAY, _DELAY_THEORY = "swarmbed_netem_delay_seconds_total", "swarmbed_netem_delay_predicted_seconds_total"
_DATAGRAMS, _SENT = "swarmbed_netem_datagrams_total", "swarmbed_netem_sent_datagrams_total"


class Datagrams(Family):
    """Datagrams by fate; realised against configured loss and delay."""

    name = "datagrams"
    reads = "network"
    metrics = (
        counter(_SENT, "Datagrams that nodes sent."),
        counter("swarmbed_netem_copied_datagrams_total", "Copies that links made of datagrams."),
        counter(_DATAGRAMS, "Datagrams and copies by what became of them.", Label("fate", _FATES)),
        gauge("swarmbed_netem_in_flight_datagrams", "Datagrams on their way."),
        gauge("swarmbed_netem_links", "Directed links that carried anything."),
        counter(_EXPOSED, "Datagrams that met the links' impairments (a partition stops them before)."),
        counter(_LOST, "Datagrams and copies that receivers did not get, by their own count, queues and faults apart."),
        counter(_LOST_THEORY, "Losses that the links' configurations predict for the datagrams exposed."),
        counter(_DELAY, "Sum of one-way delays at receivers, queueing apart."),
        counter(_DELAY_THEORY, "Sum of the mean delays that the links' configurations predict for what was received."),
    )
    panels = (
        Panel(
            dashboard="network",
            order=10,
            title="Datagram loss: realised against configured",
            description="Share of datagrams that receivers missed, and what the links were told to lose. The lines lie on each "
            "other up to chance; queues, partitions and crashed hosts are not loss.",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"sum(rate({_LOST}{{@}}[$__rate_interval])) / sum(rate({_EXPOSED}{{@}}[$__rate_interval]))",
                    legend="realised",
                ),
                Query(
                    expr=f"sum(rate({_LOST_THEORY}{{@}}[$__rate_interval])) / sum(rate({_EXPOSED}{{@}}[$__rate_interval]))",
                    legend="configured",
                    theory=True,
                ),
            ),
        ),
        Panel(
            dashboard="network",
            order=11,
            title="One-way delay: realised against configured",
            description="Mean delay of received datagrams without queueing, and the links' mean. Realised is higher by the host's "
            "own lateness, normally far below a millisecond.",
            unit="s",
            queries=(
                Query(
                    expr=f"sum(rate({_DELAY}{{@}}[$__rate_interval])) / "
                    f'sum(rate({_DATAGRAMS}{{@,fate="delivered"}}[$__rate_interval]))',
                    legend="realised",
                ),
                Query(
                    expr=f"sum(rate({_DELAY_THEORY}{{@}}[$__rate_interval])) / "
                    f'sum(rate({_DATAGRAMS}{{@,fate="delivered"}}[$__rate_interval]))',
                    legend="configured",
                    theory=True,
                ),
            ),
        ),
        Panel(
            dashboard="network",
            order=20,
            title="Datagrams by fate",
            description="Sent, delivered, and dropped by cause. In a run without faults only `loss` and queues drop anything.",
            unit="pps",
            queries=(
                Query(expr=f"sum(rate({_SENT}{{@}}[$__rate_interval]))", legend="sent"),
                Query(expr=f"sum by (fate) (rate({_DATAGRAMS}{{@}}[$__rate_interval])) > 0", legend="{{fate}}"),
            ),
        ),
        Panel(
            dashboard="network",
            order=21,
            title="Datagrams under way",
            description="Datagrams between sender and receiver. About rate times delay; more means that queues grow.",
            unit="short",
            queries=(Query(expr="sum(swarmbed_netem_in_flight_datagrams{@})", legend="in flight"),),
        ),
        Panel(
            dashboard="network",
            order=2,
            title="Links",
            description="Directed pairs of hosts that exchanged datagrams.",
            unit="short",
            look="stat",
            width=4,
            height=4,
            queries=(Query(expr="sum(swarmbed_netem_links{@})", legend="links"),),
        ),
    )

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - counts have no time
        """Read all links, some at a time."""
        network: Network | None = self.source
        if network is None:
            return
        yield from network.readings.read()
        read = network.readings.traffic
        self.set(_SENT, read.sent)
        self.set("swarmbed_netem_copied_datagrams_total", read.copies)
        self.set("swarmbed_netem_in_flight_datagrams", read.in_flight)
        self.set("swarmbed_netem_links", read.links)
        self.set(_EXPOSED, read.exposed)
        # What lies between two sockets is missing for a moment only, and a counter must not fall.
        self.set(_LOST, max(read.missing, self.value(_LOST)))
        self.set(_LOST_THEORY, read.lost_predicted)
        self.set(_DELAY, read.delay_ns / S)
        self.set(_DELAY_THEORY, read.delay_predicted_s)
        self.set(_DATAGRAMS, read.delivered, "delivered")
        for cause in Cause:
            self.set(_DATAGRAMS, read.dropped[cause], cause.name.lower())
