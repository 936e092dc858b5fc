"""Pure: the hosts of a run in their topology: which region each is in, its access link, and what its links do.

Source: DESIGN section 3.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Self

from netem.impairments.delay import Delay
from netem.link import LinkConfig
from netem.topology import Access, Topology, parse_topology


class Layout:
    """A topology with its hosts.

    Args:
        topology: checked.
        default: what links do where the topology says nothing.
        text: its TOML, for other processes.

    Attributes:
        region_of: the region of every host added, "" without regions.

    Invariant: who is where depends on the order in which hosts are added, and on nothing else.
    """

    def __init__(self, topology: Topology, default: LinkConfig, *, text: str = "") -> None:
        self.topology = topology
        self.text = text
        self.region_of: dict[str, str] = {}
        self._default = default
        self._dealt: Counter[str] = Counter()
        self._known: dict[tuple[str, ...], LinkConfig] = {}

    @classmethod
    def parse(
        cls, text: str, default: LinkConfig, *, source: str = "topology", region_of: Mapping[str, str] | None = None
    ) -> Self:
        """Make a layout of a topology's text, perhaps with hosts whose regions another process has told.

        Raises:
            ConfigError: see `parse_topology`.
        """
        layout = cls(parse_topology(text, source=source), default, text=text)
        layout.region_of.update(region_of or {})
        return layout

    def add(self, name: str, *, access: Access) -> Access:
        """Give a host its region, and return its access link: its own table's, then its region's, then `access`.

        A region's table is about ordinary hosts: one with an endless access link, such as a tracker, keeps it.
        """
        named = self.topology.named(name)
        region = named[0] if named else self._deal()
        self.region_of[name] = region
        own = Access()
        for pattern, table in self.topology.hosts.items():
            if fnmatchcase(name, pattern):
                own = table.over(own)  # the last table that fits comes first
        home = self.topology.regions.get(region)
        if home is not None and access.upload_bytes_per_s != math.inf:
            access = Access(home.upload_bytes_per_s, home.download_bytes_per_s, home.queue_bytes).over(access)
        return own.over(access)

    def _deal(self) -> str:
        """Return the region that is furthest behind its share."""
        shares = {name: region.weight() for name, region in self.topology.regions.items() if region.weight()}
        if not shares:
            return ""
        region = min(shares, key=lambda name: (self._dealt[name] + 1) / shares[name])
        self._dealt[region] += 1
        return region

    def link(self, source: str, target: str) -> LinkConfig:
        """Return what a link does: the last of `links` that fits it, else the run's own with the delay of the matrix.

        The run's jitter stays, but for delays that are smaller: then it is as large as they are.
        """
        for between, config in zip(reversed(self.topology.links), reversed(self.topology.configs), strict=True):
            there = self._is_at(source, between.source) and self._is_at(target, between.target)
            back = self._is_at(target, between.source) and self._is_at(source, between.target)
            if there or (between.both_ways and back):
                return config
        ends = self.region_of.get(source, ""), self.region_of.get(target, "")
        if ends not in self._known:
            self._known[ends] = self._between(*ends)
        return self._known[ends]

    def _is_at(self, name: str, end: str) -> bool:
        if end in self.topology.regions:
            return self.region_of.get(name) == end
        return fnmatchcase(name, end)

    def _between(self, source: str, target: str) -> LinkConfig:
        latency = self.topology.latency
        if latency is None or not source or not target:
            return self._default
        one_way_s = latency.one_way_s[latency.regions.index(source)][latency.regions.index(target)]
        delays = [one for one in self._default.impairments if isinstance(one, Delay)] or [Delay(0.0)]
        own_s = delays[0].delay_s if latency.mode == "add" else 0.0
        delay_s = own_s + one_way_s
        delay = dataclasses.replace(delays[0], delay_s=delay_s, jitter_s=min(delays[0].jitter_s, delay_s))
        others = tuple(one for one in self._default.impairments if not isinstance(one, Delay))
        return dataclasses.replace(self._default, impairments=(*others, delay))
