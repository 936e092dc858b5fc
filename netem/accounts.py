"""Pure: the account of every packet of a network, from the counters of its hosts, routes and receivers.

Several processes each keep their own; merged, they balance: a link's sender knows what met the impairments, its receiver what
arrived.

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from netem.certificate import Certificate, Conservation, LinkCount, certify
from netem.fates import Cause, FateLog, no_drops
from netem.latency import Counts, LatencyHistogram
from netem.link import Exposure
from netem.plain_link import from_plain, to_plain

if TYPE_CHECKING:
    from netem.host import Host
    from netem.route import Route

_ROWS_PER_PART = 2_000  # a part fits a frame
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
    most = max((route.link_id for route in routes), default=0) + 1
    beyond = [0] * (most - len(seen.received))  # links of which nothing arrived yet
    received = seen.received.tolist() + beyond
    delays_ns = seen.delay_sum_ns.tolist() + beyond
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


@dataclass(slots=True)
class Account:
    """All that is known of a network's packets and of the host that carried them, in one process or several."""

    conservation: Conservation
    links: list[LinkCount]
    lateness: LatencyHistogram = field(default_factory=LatencyHistogram)
    lag: LatencyHistogram = field(default_factory=LatencyHistogram)
    foreign: int = 0

    def certificate(self, *, void: Sequence[str] = ()) -> Certificate:
        """Judge it; the reasons in `void` make it void whatever the packets say."""
        return certify(self.links, conservation=self.conservation, lateness=self.lateness, lag=self.lag, void=void)

    def fates(self) -> dict[str, int]:
        """Return sent, copies, delivered, in_flight and each cause by name, sorted by name; part of the run's digest."""
        kept = self.conservation
        counts = {cause.name.lower(): kept.dropped[cause] for cause in Cause}
        counts |= {"sent": kept.sent, "copies": kept.copies, "delivered": kept.delivered}
        return dict(sorted((counts | {"in_flight": kept.in_flight}).items()))


class _Part(msgspec.Struct, array_like=True):
    """A piece of an account on its way to another process: the totals come with the first, histograms as they count."""

    totals: tuple[int, int, int, list[int], int, int] | None
    histograms: list[Counts]
    links: list[tuple[str, str, list[tuple[bytes, int]], int, int, int, int, int]]


def pack(account: Account) -> Iterator[bytes]:
    """Yield an account as parts of well below 1 MiB each, for `unpack`."""
    kept = account.conservation
    totals = (kept.sent, kept.copies, kept.delivered, list(kept.dropped), kept.in_flight, account.foreign)
    rows = [
        (
            count.source,
            count.target,
            [(to_plain(exposure.config), exposure.packets) for exposure in count.exposures],
            count.copies,
            count.received,
            count.dropped_later,
            count.in_flight,
            count.own_delay_sum_ns,
        )
        for count in account.links
        if count.packets or count.received or count.dropped_later
    ]
    histograms = [account.lateness.counts(), account.lag.counts()]
    yield msgspec.msgpack.encode(_Part(totals, histograms, rows[:_ROWS_PER_PART]))
    for start in range(_ROWS_PER_PART, len(rows), _ROWS_PER_PART):
        yield msgspec.msgpack.encode(_Part(None, [], rows[start : start + _ROWS_PER_PART]))


def unpack(parts: Iterable[bytes]) -> Account:
    """Return the account that `pack` made parts of; raise `msgspec.DecodeError` for anything else."""
    account = Account(Conservation(0, 0, 0, dropped=tuple(no_drops()), in_flight=0), [])
    for part in map(msgspec.msgpack.Decoder(_Part).decode, parts):
        if part.totals is not None:
            sent, copies, delivered, dropped, in_flight, account.foreign = part.totals
            account.conservation = Conservation(sent, copies, delivered, dropped=tuple(dropped), in_flight=in_flight)
            for histogram, latencies in zip((account.lateness, account.lag), part.histograms, strict=True):
                histogram.merge(latencies)
        for source, target, exposures, *counts in part.links:
            met = tuple(Exposure(from_plain(config), packets) for config, packets in exposures)
            copies, received, dropped_later, in_flight, delay_ns = counts
            account.links.append(
                LinkCount(
                    source=source,
                    target=target,
                    exposures=met,
                    copies=copies,
                    received=received,
                    dropped_later=dropped_later,
                    in_flight=in_flight,
                    own_delay_sum_ns=delay_ns,
                )
            )
    return account


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
        ),
        links=[],
        foreign=sum(account.foreign for account in accounts),
    )
    by_ends: dict[tuple[str, str], LinkCount] = {}
    for account in accounts:
        merged.lateness.merge(account.lateness.counts())
        merged.lag.merge(account.lag.counts())
        for count in account.links:
            ends = (count.source, count.target)
            by_ends[ends] = by_ends[ends].plus(count) if ends in by_ends else count
    merged.links = list(by_ends.values())
    return merged
