"""Pure: the certificate: did the emulated network do what it was configured to do?

All quantities of all links, and of all links of a configuration together, are judged as one family at level 1e-4 (Bonferroni): an
honest run fails at most once in 10,000 times.

Source: DESIGN section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netem.clock import S
from netem.delay_histograms import Class
from netem.fates import Cause
from netem.host_time import HostTime
from netem.judge_delays import KERNEL_SHARE
from netem.latency import LatencyHistogram
from netem.link_count import Columns, LinkCount
from netem.link_report import LinkReport, judge_links
from netem.verdicts import Quantity

FAMILY_LEVEL = 1e-4
MAX_LAG_NS = 10_000_000
MAX_LATE_NS = 10_000_000
MAX_HANG_NS = 2_000_000_000  # a hang as long as the time for deposits changes what protocols do, however long the run
MAX_KERNEL_SHARE = KERNEL_SHARE

__all__ = ["Certificate", "Conservation", "LinkCount", "Quantity", "certify"]


@dataclass(frozen=True)
class Conservation:
    """The run's packets, counted at the endpoints: sent + copies = delivered + dropped + in flight.

    `dropped` is indexed by `Cause` and includes the kernel's drops. A socket without room counts what came to it whole as one
    (UDP_GRO), however many packets it was: up to `unsure` more than counted may be the kernel's drops. `settled` says how many are.
    """

    sent: int
    copies: int
    delivered: int
    dropped: tuple[int, ...]
    in_flight: int
    unsure: int = 0

    @property
    def missing(self) -> int:
        """Packets without a fate; negative if there are more fates than packets."""
        return self.sent + self.copies - self.delivered - sum(self.dropped) - self.in_flight

    def settled(self) -> Conservation:
        """Return the account of a whole network that has ended: what is missing is the kernel's, as far as it may be."""
        more = min(max(self.missing, 0), self.unsure)
        dropped = [count + more * (place == Cause.KERNEL) for place, count in enumerate(self.dropped)]
        return replace(self, dropped=tuple(dropped), unsure=0)


@dataclass(frozen=True)
class Certificate:
    """The verdict on a run's network: `valid`, or void for `reasons`.

    `loss` is per packet that met the impairments; `delay_s` is the mean of the impairments' own delay. `host_ns` holds
    quantiles of timer lateness and event-loop lag, and the longest lag. `delays_unjudged` counts links whose delay was changed
    live, or has no known law. `report` has every quantity of every link and configuration.
    """

    valid: bool
    reasons: tuple[str, ...]
    loss: Quantity
    delay_s: Quantity
    conservation: Conservation
    report: LinkReport
    delays_unjudged: int
    host_ns: dict[str, int]

    @property
    def links(self) -> int:
        """Directed links that carried anything."""
        return len(self.report.columns.links)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for result.json."""
        kept = self.conservation
        return {
            "valid": self.valid,
            "reasons": list(self.reasons),
            "loss": self.loss.to_dict(),
            "delay_s": self.delay_s.to_dict(),
            "links": self.report.to_dict(),
            "delays_unjudged": self.delays_unjudged,
            "sent": kept.sent,
            "copies": kept.copies,
            "delivered": kept.delivered,
            "in_flight": kept.in_flight,
            "missing": kept.missing,
            "dropped": {cause.name.lower(): kept.dropped[cause] for cause in Cause},
            **{f"{name}_s": value / S for name, value in self.host_ns.items()},
        }


def certify(
    links: Sequence[LinkCount],
    *,
    conservation: Conservation,
    lateness: LatencyHistogram,
    lag: LatencyHistogram,
    delays: Mapping[Class, np.ndarray] | None = None,
    void: Sequence[str] = (),
) -> Certificate:
    """Judge a run.

    Args:
        links: every directed link that carried anything.
        conservation: the endpoints' own counts.
        lateness: how late departures were, one entry a departure.
        lag: how late the event loop woke up, sampled evenly over the run.
        delays: histograms of the delays at receivers, see `DelayHistograms.counts`.
        void: reasons known from elsewhere; with any the run is void for these, and what is left of the counts proves nothing.
    """
    host = HostTime(lateness, lag, total=sum(count.received for count in links))
    columns = Columns([count for count in links if count.exposures])
    report = judge_links(
        columns,
        delays=delays or {},
        host=host,
        kernel_drops=conservation.dropped[Cause.KERNEL],
        family_level=FAMILY_LEVEL,
    )
    host_ns = {"lag_max": lag.max_ns} | {
        f"{name}_p{percent}": histogram.quantile_ns(percent / 100)
        for name, histogram in (("lateness", lateness), ("lag", lag))
        for percent in (50, 99)
    }
    reasons = tuple(void) or (*_host_reasons(host_ns, conservation), *report.reasons())
    return Certificate(
        valid=not reasons,
        reasons=reasons,
        loss=report.loss,
        delay_s=report.delay_s,
        conservation=conservation,
        report=report,
        delays_unjudged=int((~report.delays_known).sum()),
        host_ns=host_ns,
    )


def _host_reasons(host_ns: dict[str, int], conservation: Conservation) -> list[str]:
    reasons = []
    if host_ns["lag_p99"] > MAX_LAG_NS:
        reasons.append(f"the event loop lagged: p99 {host_ns['lag_p99'] / S:.4f} s, allowed {MAX_LAG_NS / S} s")
    if host_ns["lag_max"] > MAX_HANG_NS:
        reasons.append(f"the event loop stood still for {host_ns['lag_max'] / S:.1f} s, allowed {MAX_HANG_NS / S} s")
    if host_ns["lateness_p99"] > MAX_LATE_NS:
        reasons.append(f"departures late: p99 {host_ns['lateness_p99'] / S:.4f} s, allowed {MAX_LATE_NS / S} s")
    kernel_drops = conservation.dropped[Cause.KERNEL]
    if kernel_drops > MAX_KERNEL_SHARE * conservation.sent:
        reasons.append(
            f"the kernel dropped {kernel_drops} of {conservation.sent} packets, allowed {MAX_KERNEL_SHARE:.2%}"
        )
    if conservation.missing:
        reasons.append(f"packets are not conserved: {conservation.missing} without a fate")
    return reasons
