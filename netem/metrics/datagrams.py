"""Pure: what became of the datagrams, and whether loss and delay are what the links were told: theory beside measurement.

Counted per link by sender and receiver; read here in slices of links, added up. Between two slices packets move on, so the sums
are of moments some milliseconds apart. Of a network spread over processes this is the first process's part, and loss and delay are
those of links with both ends in it: the other links' counts meet only at the end of the run.

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netem.clock import S
from netem.fates import Cause
from netem.metric import Family, Label, Panel, Query, counter, gauge

if TYPE_CHECKING:
    from netem.link import LinkConfig
    from netem.network import Network
    from netem.route import Route

LINKS_PER_STEP = 500
_FATES = ("delivered", *(cause.name.lower() for cause in Cause))
_LATER = [cause for cause in Cause if cause not in {Cause.LOSS, Cause.PARTITION, Cause.UPLINK_QUEUE}]
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

    def __init__(self) -> None:
        super().__init__()
        # By link id, at the last reading.
        self._exposed = self._received = np.zeros(0, dtype=np.int64)
        self._predicted = {_LOST_THEORY: 0.0, _DELAY_THEORY: 0.0}
        self._laws: dict[LinkConfig, tuple[float, float]] = {}

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - counts have no time
        """Read all links, some at a time."""
        network: Network | None = self.source
        if network is None:
            return
        kernel_drops = network.wire.kernel_drops() or 0
        yield
        fates = network.fates.totals()
        yield
        sums, routes, begin = _Sums(), network.routes, 0
        while begin < len(routes):
            part = routes[begin : begin + LINKS_PER_STEP]
            self._read(part, network.fates.received_by_link(), sums)
            begin += len(part)
            yield
        for host in network.hosts.values():
            sums.dropped += host.unrouted
        sums.dropped[Cause.KERNEL] += kernel_drops
        self.set(_SENT, sum(host.sent for host in network.hosts.values()))
        self.set("swarmbed_netem_copied_datagrams_total", sums.copies)
        self.set("swarmbed_netem_in_flight_datagrams", sums.in_flight)
        self.set("swarmbed_netem_links", len(routes))
        self.set(_EXPOSED, sums.exposed)
        # What lies between two sockets is missing for a moment only, and a counter must not fall.
        self.set(_LOST, max(sums.missing, self.value(_LOST)))
        self.set(_DELAY, fates.delay_sum_ns / S)
        for metric, value in self._predicted.items():
            self.set(metric, value)
        self.set(_DATAGRAMS, fates.received, "delivered")
        for cause in Cause:
            self.set(_DATAGRAMS, int(sums.dropped[cause]), cause.name.lower())

    def _read(self, part: Sequence[Route], seen: np.ndarray, sums: _Sums) -> None:
        """Add some links, which follow each other by id; `seen` are the receivers' counts by link id, as far as there are any."""
        received = np.zeros(len(part), dtype=np.int64)
        counted = seen[part[0].link_id : part[-1].link_id + 1]
        received[: len(counted)] = counted
        dropped = np.array([route.link.dropped for route in part], dtype=np.int64)
        flying = np.array([route.in_flight for route in part], dtype=np.int64)
        copies = np.array([route.link.duplicated for route in part], dtype=np.int64)
        both_ends = np.array([route.source.here and route.target.here for route in part])
        exposed = np.array([route.link.number for route in part], dtype=np.int64) - dropped[:, Cause.PARTITION]
        exposed *= both_ends
        missing = (exposed + copies - flying - received - dropped[:, _LATER].sum(axis=1))[both_ends]
        self._predict(part, exposed, received)
        sums.dropped += dropped.sum(axis=0)
        sums.exposed += int(exposed.sum())
        sums.copies += int(copies.sum())
        sums.in_flight += int(flying.sum())
        sums.missing += int(missing.sum())

    def _predict(self, part: Sequence[Route], exposed: np.ndarray, received: np.ndarray) -> None:
        """Add what the configurations of these links predict for the datagrams since the last reading."""
        begin, end = part[0].link_id, part[-1].link_id + 1
        if end > len(self._exposed):
            fresh = np.zeros(end - len(self._exposed), dtype=np.int64)
            self._exposed, self._received = (np.concatenate((row, fresh)) for row in (self._exposed, self._received))
        laws = np.array([self._law(route.link.config) for route in part])
        self._predicted[_LOST_THEORY] += float((exposed - self._exposed[begin:end]) @ laws[:, 0])
        self._predicted[_DELAY_THEORY] += float((received - self._received[begin:end]) @ laws[:, 1])
        self._exposed[begin:end], self._received[begin:end] = exposed, received

    def _law(self, config: LinkConfig) -> tuple[float, float]:
        law = self._laws.get(config)
        if law is None:
            law = self._laws[config] = config.loss_rate(), config.mean_delay_s()
        return law


@dataclass(slots=True)
class _Sums:
    """What one reading of all links adds up to."""

    dropped: np.ndarray = field(default_factory=lambda: np.zeros(max(Cause) + 1, dtype=np.int64))
    exposed: int = 0
    copies: int = 0
    in_flight: int = 0
    missing: int = 0
