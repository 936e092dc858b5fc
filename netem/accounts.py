"""Pure: the account of every packet of a network, from the counters of its hosts, routes and receivers.

Several processes each keep their own; merged, they balance: a link's sender knows what met the impairments, its receiver what
arrived.

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from netem.certificate import Certificate, Conservation, certify
from netem.delay_histograms import Class
from netem.fates import MOST_MERGED, Cause, FateLog, no_drops
from netem.latency import LatencyHistogram
from netem.link_count import LinkCount

if TYPE_CHECKING:
    from netem.host import Host
    from netem.route import Route


def conserve(
    hosts: Iterable[Host], routes: Sequence[Route], fates: FateLog, *, kernel_drops: int | None
) -> Conservation:
    """Add up what became of all packets.

    Args:
        hosts: all hosts.
        routes: all routes.
        fates: the receivers' log.
        kernel_drops: drops counted by the kernel's own sockets; None where it does not say, and then every frame that
            was sent and not received counts as its drop. They are datagrams, or runs of them that came whole.

    A frame between a sender's and a receiver's socket is in no counter, so a real network balances once it has ended.
    """
    dropped = no_drops()
    sent = 0
    for host in hosts:
        sent += host.sent
        dropped = [total + more for total, more in zip(dropped, host.unrouted, strict=True)]
    for route in routes:
        dropped = [total + more for total, more in zip(dropped, route.link.dropped, strict=True)]
    delivered = fates.totals().received
    unsure = (MOST_MERGED - 1) * (kernel_drops or 0)
    if kernel_drops is None:
        kernel_drops = sum(route.carried for route in routes) - delivered
    dropped[Cause.KERNEL] += kernel_drops
    return Conservation(
        sent=sent,
        copies=sum(route.link.duplicated for route in routes),
        delivered=delivered,
        dropped=tuple(dropped),
        in_flight=sum(route.in_flight for route in routes),
        unsure=unsure,
    )


def count_links(routes: Sequence[Route], fates: FateLog) -> list[LinkCount]:
    """Return what receivers saw and senders know of each link, in the order of the routes.

    `own_delay_sum_ns` needs no correction: the header's send time leaves all queueing out (see `netem.route`).
    """
    if not routes:
        return []
    seen, adjacent, weighed = fates.per_link(), fates.adjacent(), fates.bytes_after_first()
    columns = (
        seen.received,
        seen.distinct,
        seen.reordered,
        adjacent,
        seen.lowest == 0,
        seen.highest + 1,
        seen.delay_sum_ns,
        seen.delay_sum_squares_ns2,
        np.where(seen.received > 0, seen.last_ns - seen.first_ns, 0),
    )
    ids = np.array([route.link_id for route in routes])
    known = ids < len(seen.received)  # nothing came yet by links beyond
    rows = zip(*(column[ids[known]].tolist() for column in columns), strict=True)
    nothing = (0, 0, 0, 0, False, 0, 0, 0.0, 0)
    return [
        _count(route, next(rows) if heard else nothing, weighed) for route, heard in zip(routes, known, strict=True)
    ]


def _count(route: Route, seen: tuple[Any, ...], weighed: Mapping[int, int]) -> LinkCount:
    link = route.link
    received, distinct, reordered, adjacent, first, top, delay_sum_ns, delay_squares_ns2, span_ns = seen
    return LinkCount(
        route.source.name,
        route.target.name,
        exposures=link.exposures(),
        rests=link.rests(),
        dropped=tuple(link.dropped),
        offered=link.number,
        copies=link.duplicated,
        corrupted=link.corrupted,
        early=link.early,
        held_back=route.held_back,
        in_flight=route.in_flight,
        received=received,
        distinct=distinct,
        reordered=reordered,
        adjacent=adjacent,
        first=int(first),
        top=top,
        own_delay_sum_ns=delay_sum_ns,
        own_delay_squares_ns2=delay_squares_ns2,
        span_ns=span_ns,
        bytes_after_first=weighed.get(route.link_id, 0),
    )


@dataclass(slots=True)
class Account:
    """All that is known of a network's packets and of the host that carried them, in one process or several."""

    conservation: Conservation
    links: list[LinkCount]
    lateness: LatencyHistogram = field(default_factory=LatencyHistogram)
    lag: LatencyHistogram = field(default_factory=LatencyHistogram)
    foreign: int = 0
    delays: dict[Class, np.ndarray] = field(default_factory=dict)

    def certificate(self, *, void: Sequence[str] = ()) -> Certificate:
        """Judge it; the reasons in `void` make it void whatever the packets say."""
        return certify(
            self.links,
            conservation=self.conservation.settled(),
            lateness=self.lateness,
            lag=self.lag,
            delays=self.delays,
            void=void,
        )

    def fates(self) -> dict[str, int]:
        """Return sent, copies, delivered, in_flight and each cause by name, sorted by name; part of the run's digest."""
        kept = self.conservation.settled()
        counts = {cause.name.lower(): kept.dropped[cause] for cause in Cause}
        counts |= {"sent": kept.sent, "copies": kept.copies, "delivered": kept.delivered}
        return dict(sorted((counts | {"in_flight": kept.in_flight}).items()))


def merge(accounts: Sequence[Account]) -> Account:
    """Add up the accounts of several processes, link by link."""
    kept = [account.conservation for account in accounts]
    merged = Account(
        Conservation(
            sent=sum(one.sent for one in kept),
            copies=sum(one.copies for one in kept),
            delivered=sum(one.delivered for one in kept),
            dropped=tuple(sum(counts) for counts in zip(*(one.dropped for one in kept), strict=True)),
            in_flight=sum(one.in_flight for one in kept),
            unsure=sum(one.unsure for one in kept),
        ),
        links=[],
        foreign=sum(account.foreign for account in accounts),
    )
    for account in accounts:
        for key, counts in account.delays.items():
            merged.delays[key] = merged.delays.get(key, 0) + counts
    by_ends: dict[tuple[str, str], LinkCount] = {}
    for account in accounts:
        merged.lateness.merge(account.lateness.counts())
        merged.lag.merge(account.lag.counts())
        for count in account.links:
            ends = (count.source, count.target)
            by_ends[ends] = by_ends[ends].plus(count) if ends in by_ends else count
    merged.links = list(by_ends.values())
    return merged
