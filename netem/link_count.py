"""Pure: all that sender and receiver know of one directed link, and the columns that many make.

Source: DESIGN section 3 (realised taken from receivers' counts).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from netem.fates import Cause, no_drops
from netem.link_config import NO_RESTS, Exposure, LinkConfig, Rests

_NOT_LATER = (Cause.LOSS, Cause.PARTITION, Cause.UPLINK_QUEUE)  # not dropped after having passed the impairments
_LATER = [cause for cause in Cause if cause not in _NOT_LATER]
# Who is dropped here may depend on the delay: the slow ones find another queue, or nobody left.
_SELECTED = [Cause.LINK_QUEUE, Cause.DOWNLINK_QUEUE, Cause.DESTINATION_DOWN]


@dataclass(frozen=True, slots=True)
class LinkCount:
    """What happened on one directed link.

    Args:
        source: name of the sending host.
        target: name of the receiving host.
        exposures: from `Link.exposures()`: packets that met the impairments, by configuration.
        rests: from `Link.rests()`.
        dropped: packets and copies dropped, by `Cause`, as far as anybody told.
        offered: packets numbered by the link.
        copies: from `Link.duplicated`.
        corrupted: from `Link.corrupted`.
        early: from `Link.early`.
        held_back: from `Route.held_back`.
        in_flight: packets and copies still on their way.
        received: datagrams the receiver took in, copies included, by the receiver's own count, as are all that follow.
        distinct: numbers received.
        reordered: numbers received after a higher one.
        adjacent: numbers received whose successor was received too.
        first: 1 when number 0 was received.
        top: the highest number received, plus 1; 0 for none.
        own_delay_sum_ns: over all received, receive time minus send time minus all queueing and serialisation
            (uplink, link, downlink): what the impairments and the host's lateness did.
        own_delay_squares_ns2: the sum of squares of the same.
        span_ns: from the first arrival to the last.
        bytes_after_first: bytes received after the first datagram, with netem headers; 0 for a link that never had a rate.
    """

    source: str
    target: str
    exposures: tuple[Exposure, ...] = ()
    rests: Rests = NO_RESTS
    dropped: tuple[int, ...] = ()
    offered: int = 0
    copies: int = 0
    corrupted: int = 0
    early: int = 0
    held_back: int = 0
    in_flight: int = 0
    received: int = 0
    distinct: int = 0
    reordered: int = 0
    adjacent: int = 0
    first: int = 0
    top: int = 0
    own_delay_sum_ns: int = 0
    own_delay_squares_ns2: float = 0.0
    span_ns: int = 0
    bytes_after_first: int = 0

    def plus(self, other: LinkCount) -> LinkCount:
        """Return what two processes know of this link together: one has sent by it, the other received."""
        dropped = (*map(sum, zip(self.dropped, other.dropped, strict=True)),) or self.dropped
        return LinkCount(
            self.source,
            self.target,
            exposures=self.exposures + other.exposures,
            rests=self.rests if self.offered else other.rests,
            dropped=dropped,
            **{name: getattr(self, name) + getattr(other, name) for name in NUMBERS},
        )

    @property
    def packets(self) -> int:
        """Packets that met the impairments."""
        return sum(exposure.packets for exposure in self.exposures)


NUMBERS = tuple(field.name for field in fields(LinkCount) if field.type in {"int", "float"})
"""The fields that add up when two processes put together what they know."""


class Columns:
    """Many links as columns: one array, an element a link, for most of `LinkCount`'s numbers and for what follows from them.

    `packets` met the impairments; `later` are packets and copies that were not lost and then dropped for another cause, `others` those of
    them that damage did not lose; `unseen` those whose delay nobody saw, though it may have decided that; `lost` are the transmissions lost by the receiver's count. `configs` are the distinct configurations met, in the
    order in which links met them; `group` is the index in it of a link's only configuration, -1 for a link whose
    configuration changed. `unjudged` and `laws` (of delays) are what the configurations say. `exposed_link`, `exposed_config` (indices) and `exposed_packets` have one element an exposure.
    """

    def __init__(self, links: Sequence[LinkCount]) -> None:
        self.links = links
        self._expose()
        self.offered = self._column("offered")
        self.copies = self._column("copies")
        self.corrupted = self._column("corrupted")
        self.early = self._column("early")
        self.held_back = self._column("held_back")
        self.in_flight = self._column("in_flight")
        self.received = self._column("received")
        self.distinct = self._column("distinct")
        self.reordered = self._column("reordered")
        self.adjacent = self._column("adjacent")
        self.first = self._column("first")
        self.top = self._column("top")
        self.delay_sum_ns = self._column("own_delay_sum_ns").astype(np.float64)
        self.delay_squares_ns2 = np.array([count.own_delay_squares_ns2 for count in links], dtype=np.float64)
        self.dropped = np.array([count.dropped for count in links], dtype=np.int64).reshape(-1, len(no_drops()))
        self.partitioned = self.dropped[:, Cause.PARTITION]
        self.later = self.dropped[:, _LATER].sum(axis=1)
        self.others = self.later - self.dropped[:, Cause.CORRUPT]
        self.unseen = self.in_flight + self.dropped[:, _SELECTED].sum(axis=1)
        self.lost = self.packets + self.copies - self.received - self.later - self.in_flight

    def _expose(self) -> None:
        indices: dict[LinkConfig, int] = {}
        # Hashing a configuration costs more than all else, and most links share one object.
        known: dict[int, int] = {}
        exposed: list[tuple[int, int, int]] = []
        for row, count in enumerate(self.links):
            for exposure in count.exposures:
                config = known.get(id(exposure.config))
                if config is None:
                    config = known[id(exposure.config)] = indices.setdefault(exposure.config, len(indices))
                exposed.append((row, config, exposure.packets))
        self.configs = list(indices)
        self.unjudged = [config.unjudged() for config in self.configs]
        self.laws = [config.delay_law() for config in self.configs]
        self.exposed_link, self.exposed_config, self.exposed_packets = (
            np.array(exposed, dtype=np.int64).reshape(-1, 3).T.copy()
        )
        rows = len(self.links)
        self.packets = np.zeros(rows, dtype=np.int64)
        np.add.at(self.packets, self.exposed_link, self.exposed_packets)
        least, most = np.full(rows, len(indices)), np.full(rows, -1)
        np.minimum.at(least, self.exposed_link, self.exposed_config)
        np.maximum.at(most, self.exposed_link, self.exposed_config)
        self.group = np.where(least == most, most, -1)

    def _column(self, name: str) -> np.ndarray:
        return np.array([getattr(count, name) for count in self.links], dtype=np.int64)
