"""Pure: how late the host is: departures, the event loop, and how much of what makes a run void is used up; in all processes of a run.

Source: DESIGN section 3 (a run whose host could not keep up is void).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netem.certificate import MAX_HANG_NS, MAX_KERNEL_SHARE, MAX_LAG_NS, MAX_LATE_NS
from netem.clock import S
from netem.latency import OCTAVES_S
from netem.metric import Family, Label, Panel, Query, gauge, histogram
from netem.reading import merged

if TYPE_CHECKING:
    from netem.network import Network

_LAG, _LATENESS = "swarmbed_event_loop_lag_seconds", "swarmbed_netem_departure_lateness_seconds"
USED, _ALLOWED = "swarmbed_fidelity_used_ratio", "swarmbed_fidelity_allowed_seconds"
_CHECKS = ("event_loop_lag_p99", "event_loop_hang", "departure_lateness_p99", "kernel_drops")
_LIMITED = ("event_loop_lag_p99", "departure_lateness_p99")


def _quantile(metric: str, share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{@}}[$__rate_interval])))"


class Timeliness(Family):
    """Event-loop lag and lateness of departures, as histograms and against what a valid run may have."""

    name = "timeliness"
    reads = "network"
    metrics = (
        histogram(_LAG, "How late the event loop woke up, one tick every 10 ms.", OCTAVES_S),
        histogram(_LATENESS, "How late datagrams left, one value a datagram.", OCTAVES_S),
        gauge(
            USED,
            "Share of what a valid run may have that the run so far used; above 1 it is void.",
            Label("check", _CHECKS),
        ),
        gauge(_ALLOWED, "What the 99th percentile of a valid run may be.", Label("check", _LIMITED)),
    )
    panels = (
        Panel(
            dashboard="network",
            order=0,
            title="Fidelity: used of what is allowed",
            description="The largest of loop lag, hangs, lateness of departures and kernel drops, each over what a valid run may "
            "have. Above 100 % the run is void: the host, not the network, shaped the result.",
            unit="percentunit",
            look="stat",
            width=8,
            height=4,
            limit=1.0,
            queries=(Query(expr=f"max({USED}{{@}})", legend="worst check"),),
        ),
        Panel(
            dashboard="network",
            order=1,
            title="Checks of the host",
            description="Each check over its limit, over the whole run. A healthy run stays far below 100 %.",
            unit="percentunit",
            look="stat",
            height=4,
            limit=1.0,
            queries=(Query(expr=f"{USED}{{@}}", legend="{{check}}"),),
        ),
        Panel(
            dashboard="network",
            order=30,
            title="Lateness of departures",
            description="How late datagrams left, against the limit of a valid run. Normally below a millisecond.",
            unit="s",
            queries=(
                Query(expr=_quantile(_LATENESS, 0.5), legend="p50"),
                Query(expr=_quantile(_LATENESS, 0.99), legend="p99"),
                Query(expr=f'max({_ALLOWED}{{@,check="departure_lateness_p99"}})', legend="allowed p99", theory=True),
            ),
        ),
        Panel(
            dashboard="health",
            order=10,
            title="Event-loop lag",
            description="How late the event loop wakes up, against the limit of a valid run. What lags here is late everywhere.",
            unit="s",
            queries=(
                Query(expr=_quantile(_LAG, 0.5), legend="p50"),
                Query(expr=_quantile(_LAG, 0.99), legend="p99"),
                Query(expr=f'max({_ALLOWED}{{@,check="event_loop_lag_p99"}})', legend="allowed p99", theory=True),
            ),
        ),
        Panel(
            dashboard="overview",
            order=1,
            title="Fidelity used",
            description="The worst check of the host over its limit. Above 100 % the run is void; see the dashboard Network.",
            unit="percentunit",
            look="stat",
            width=4,
            height=4,
            limit=1.0,
            queries=(Query(expr=f"max({USED}{{@}})", legend="worst check"),),
        ),
    )

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - counts have no time
        """Read both histograms."""
        network: Network | None = self.source
        if network is None:
            return
        read = network.readings.timing()
        lag, lateness = merged(read.lag), merged(read.lateness)
        self.bins(_LAG).replace(lag.by_octave(), lag.sum_ns / S)
        yield
        self.bins(_LATENESS).replace(lateness.by_octave(), lateness.sum_ns / S)
        used = (
            lag.quantile_ns(0.99) / MAX_LAG_NS,
            lag.max_ns / MAX_HANG_NS,
            lateness.quantile_ns(0.99) / MAX_LATE_NS,
            read.kernel_drops / (MAX_KERNEL_SHARE * max(read.sent, 1)),
        )
        for check, share in zip(_CHECKS, used, strict=True):
            self.set(USED, share, check)
        for check, limit_ns in zip(_LIMITED, (MAX_LAG_NS, MAX_LATE_NS), strict=True):
            self.set(_ALLOWED, limit_ns / S, check)
