"""Pure: the account of every packet of a network, from the counters of its hosts, routes and receivers.

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from netem.certificate import Conservation, LinkCount
from netem.fates import Cause, FateLog, no_drops

if TYPE_CHECKING:
    from netem.host import Host
    from netem.route import Route

_NOT_LATER = (Cause.LOSS, Cause.PARTITION, Cause.UPLINK_QUEUE)  # not dropped after having passed the impairments


def conserve(
    hosts: Iterable[Host], routes: Sequence[Route], fates: FateLog, *, kernel_drops: int | None
) -> Conservation:
    """Add up what became of all packets.

    Args:
        hosts: all hosts.
        routes: all routes.
        fates: the receivers' log.
        kernel_drops: drops counted by the kernel's own sockets; None where it does not say, and then every frame that
            was sent and not received counts as its drop.

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
    if kernel_drops is None:
        kernel_drops = sum(route.carried for route in routes) - delivered
    dropped[Cause.KERNEL] += kernel_drops
    return Conservation(
        sent=sent,
        copies=sum(route.link.duplicated for route in routes),
        delivered=delivered,
        dropped=tuple(dropped),
        in_flight=sum(route.in_flight for route in routes),
    )


def count_links(routes: Sequence[Route], fates: FateLog) -> list[LinkCount]:
    """Return what receivers saw and senders know of each link, in the order of the routes.

    `own_delay_sum_ns` needs no correction: the header's send time leaves all queueing out (see `netem.route`).
    """
    seen = fates.per_link()
    received = [*map(int, seen.received), *[0] * len(routes)]
    delays_ns = [*map(int, seen.delay_sum_ns), *[0] * len(routes)]
    return [
        LinkCount(
            source=route.source.name,
            target=route.target.name,
            exposures=route.link.exposures(),
            copies=route.link.duplicated,
            received=received[route.link_id],
            dropped_later=sum(route.link.dropped[cause] for cause in Cause if cause not in _NOT_LATER),
            in_flight=route.in_flight,
            own_delay_sum_ns=delays_ns[route.link_id],
        )
        for route in routes
    ]


def fates_by_name(account: Conservation) -> dict[str, int]:
    """Return sent, copies, delivered, in_flight and each cause by name, sorted by name; part of the run's digest."""
    counts = {cause.name.lower(): account.dropped[cause] for cause in Cause}
    counts |= {"sent": account.sent, "copies": account.copies, "delivered": account.delivered}
    return dict(sorted((counts | {"in_flight": account.in_flight}).items()))
