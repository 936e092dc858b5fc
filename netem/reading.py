"""Pure: what a process can read of its part of a network while it runs, as sums that add up with those of the run's other processes.

A link's sender counts what met the impairments, its receiver what arrived: what is missing shows in the sums over all processes
alone. `reader.py` reads them.

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Protocol

import msgspec

from netem.fates import no_drops
from netem.latency import Counts, LatencyHistogram


class Traffic(msgspec.Struct, frozen=True, array_like=True):
    """Sums over links and hosts; those of processes are added, field by field.

    `exposed` met the links' impairments; `missing` are those and their copies that are neither under way, nor received, nor dropped
    for another cause than loss; `links` are counted where their source is.
    """

    sent: int = 0
    copies: int = 0
    links: int = 0
    in_flight: int = 0
    exposed: int = 0
    missing: int = 0
    delivered: int = 0
    delay_ns: int = 0
    lost_predicted: float = 0.0
    delay_predicted_s: float = 0.0
    dropped: list[int] = msgspec.field(default_factory=no_drops)  # by cause

    def plus(self, other: Traffic) -> Traffic:
        """Return the sums of both."""
        sums = {
            name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__ if name != "dropped"
        }
        return Traffic(**sums, dropped=list(map(operator.add, self.dropped, other.dropped)))


class Timing(msgspec.Struct, frozen=True, array_like=True):
    """How late the host was, and how many frames its kernel dropped; processes are judged together, as by the certificate."""

    sent: int = 0
    kernel_drops: int = 0
    lag: Counts = msgspec.field(default_factory=lambda: LatencyHistogram().counts())
    lateness: Counts = msgspec.field(default_factory=lambda: LatencyHistogram().counts())

    def plus(self, other: Timing) -> Timing:
        """Return both together: counts and bins added, of the longest durations the longer."""
        lag, lateness = merged(self.lag), merged(self.lateness)
        lag.merge(other.lag)
        lateness.merge(other.lateness)
        return Timing(
            self.sent + other.sent, self.kernel_drops + other.kernel_drops, lag=lag.counts(), lateness=lateness.counts()
        )


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """What a process read of its part of the network; `links` are those it knows."""

    traffic: Traffic
    timing: Timing
    links: int

    def plus(self, other: Reading) -> Reading:
        """Return the sums of both."""
        return Reading(
            self.traffic.plus(other.traffic), self.timing.plus(other.timing), links=max(self.links, other.links)
        )


def merged(*counts: Counts) -> LatencyHistogram:
    """Return a histogram of all counts."""
    histogram = LatencyHistogram()
    for one in counts:
        histogram.merge(one)
    return histogram


class Readings(Protocol):
    """What can be read of a network, in one process or several."""

    traffic: Traffic  # as it was last read

    def read(self) -> Iterator[None]:
        """Bring `traffic` up to date in steps of at most a few milliseconds, yielding between them."""
        ...

    def timing(self) -> Timing:
        """Return how late the host was so far."""
        ...
