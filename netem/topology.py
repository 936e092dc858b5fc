"""Pure: where hosts are and what lies between them: regions, a latency matrix, links and access links from one TOML text.

    [latency]                        # one-way, from row to column; it need not be symmetric
    regions = ["eu", "us"]
    one_way_s = [[0.005, 0.045], [0.050, 0.005]]
    mode = "replace"                 # the delay that links have otherwise; or "add" to it

    [regions.eu]
    hosts = ["tracker", "node-1*"]   # names or patterns
    share = 2                        # of the hosts that no region names

    [regions.us]
    upload_bytes_per_s = 60_000      # access link of every node in it; also download_bytes_per_s, queue_bytes

    [hosts.node-3]                   # over its region's
    upload_bytes_per_s = 20_000

    [[links]]                        # hosts, patterns or regions; the last that fits a link says all about it
    from = "eu"
    to = "us"
    impair = "delay 80ms 5ms loss 1%"
    both_ways = false

Hosts that no region names are dealt out in the order in which they are added, by share. `netem/TOPOLOGY_AND_FAULTS.md` has more.

Source: DESIGN section 3; the matrix as in king-style latency data sets.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from netem.errors import ConfigError
from netem.layers import as_config
from netem.link import LinkConfig
from netem.ranges import allowed, find, nan_in

LONGEST_S = 10.0
MOST_QUEUE_BYTES = 2**40
Rate = Annotated[float, Meta(gt=0)]
T = TypeVar("T", bound=msgspec.Struct)


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An access link; None is what hosts have otherwise. Rates are bytes/s."""

    upload_bytes_per_s: Rate | None = None
    download_bytes_per_s: Rate | None = None
    queue_bytes: Annotated[int, Meta(ge=1, le=MOST_QUEUE_BYTES)] | None = None

    def over(self, other: Access) -> Access:
        """Return this access link, and where it says nothing the other's."""
        mine, others = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return Access(**{key: others[key] if value is None else value for key, value in mine.items()})


class Region(Access, frozen=True, forbid_unknown_fields=True):
    """Hosts by name or pattern, and a share of those that no region names: None is 1, or 0 for one that names hosts."""

    hosts: list[str] = []
    share: Annotated[float, Meta(ge=0, le=1e6)] | None = None

    def weight(self) -> float:
        """Return the share."""
        return self.share if self.share is not None else float(not self.hosts)


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One-way delays in seconds, from region (row) to region (column)."""

    regions: list[str]
    one_way_s: list[list[Annotated[float, Meta(ge=0, le=LONGEST_S)]]]
    mode: Literal["replace", "add"] = "replace"


class Between(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}):
    """Links between hosts, patterns or regions, and what they do."""

    source: str
    target: str
    impair: str
    both_ways: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """A topology as read; `config` are the links' configurations in their order."""

    source: str
    regions: dict[str, Region]
    hosts: dict[str, Access]
    links: Sequence[Between]
    configs: Sequence[LinkConfig]
    latency: Latency | None

    def check(self, names: Sequence[str]) -> None:
        """Refuse hosts that there are not, and regions nobody can be dealt to.

        Args:
            names: all hosts of the run.

        Raises:
            ConfigError: a name or pattern fits no host, a host is in two regions, or one is left without a region.
        """
        for pattern in self.hosts:
            self._fit(f"hosts.{pattern}", pattern, names)
        for region, table in self.regions.items():
            for pattern in table.hosts:
                self._fit(f"regions.{region}.hosts", pattern, names)
        for number, link in enumerate(self.links):
            for key, end in (("from", link.source), ("to", link.target)):
                if end not in self.regions:
                    self._fit(f"links[{number}].{key}", end, names, regions=True)
        for name in names:
            homes = self.named(name)
            if len(homes) > 1:
                raise ConfigError(
                    f"{self.source}: regions.{homes[1]}.hosts", name, f"no host that is in {homes[0]} too"
                )
            if self.regions and not homes and not any(region.weight() for region in self.regions.values()):
                raise ConfigError(f"{self.source}: regions", name, "a region for every host: give one of them a share")

    def named(self, name: str) -> list[str]:
        """Return the regions that name a host."""
        return [region for region, table in self.regions.items() if _fits(name, table.hosts)]

    def _fit(self, key: str, pattern: str, names: Sequence[str], *, regions: bool = False) -> None:
        if not _fits_any(pattern, names):
            known = f"{names[0]} to {names[-1]}" if len(names) > 8 else ", ".join(names)
            allowed = f"a host or pattern of {known}" + (f", or a region: {', '.join(self.regions)}" if regions else "")
            raise ConfigError(f"{self.source}: {key}", pattern, allowed)


def parse_topology(text: str, *, source: str) -> Topology:
    """Read a topology.

    Args:
        text: TOML.
        source: its name, for messages.

    Raises:
        ConfigError: it is no TOML, a key is unknown or missing, a value is out of its range, the matrix is not square or its
            regions are not those that there are; the message has the key.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(source, str(fault), "TOML") from None
    nan = nan_in(tables)
    if nan:
        raise ConfigError(f"{source}: {nan}", math.nan, "numbers, and no nan")
    for key in tables:
        if key not in {"latency", "regions", "hosts", "links"}:
            raise ConfigError(f"{source}: {key}", tables[key], "the tables latency, regions, hosts and links")
    reader = _Reader(source)
    regions = {name: reader.read(Region, table, f"regions.{name}") for name, table in reader.each(tables, "regions")}
    hosts = {name: reader.read(Access, table, f"hosts.{name}") for name, table in reader.each(tables, "hosts")}
    links = reader.links(tables.get("links", []))
    latency = reader.read(Latency, tables["latency"], "latency") if "latency" in tables else None
    if latency is not None:
        _check_matrix(latency, regions, source)
    configs = [reader.line(link.impair, f"links[{number}].impair") for number, link in enumerate(links)]
    return Topology(source, regions, hosts, links, configs, latency)


def _check_matrix(latency: Latency, regions: dict[str, Region], source: str) -> None:
    known, size = latency.regions, len(latency.regions)
    if sorted(known) != sorted(regions):
        allowed = f"every region once: {', '.join(regions) or 'there is no [regions.NAME] table'}"
        raise ConfigError(f"{source}: latency.regions", known, allowed)
    rows = [len(row) for row in latency.one_way_s]
    if rows != [size] * size:
        allowed = f"a square matrix: {size} rows of {size} numbers, as there are regions"
        raise ConfigError(f"{source}: latency.one_way_s", f"rows of {rows}", allowed)


class _Reader:
    """Reads tables strictly, and names file and key of what it refuses."""

    def __init__(self, source: str) -> None:
        self._source = source

    def each(self, tables: dict[str, Any], key: str) -> list[tuple[str, Any]]:
        """Return the tables of a table."""
        found = tables.get(key, {})
        if not isinstance(found, dict):
            raise ConfigError(f"{self._source}: {key}", found, f"tables [{key}.NAME]")
        return list(found.items())

    def links(self, tables: Any) -> list[Between]:
        """Return the links."""
        if not isinstance(tables, list):
            raise ConfigError(f"{self._source}: links", tables, "tables [[links]]")
        return [self.read(Between, table, f"links[{number}]") for number, table in enumerate(tables)]

    def line(self, line: str, key: str) -> LinkConfig:
        """Return what a tc line says."""
        try:
            return as_config(line)
        except ConfigError as fault:
            raise ConfigError(f"{self._source}: {key}: {fault.field}", fault.value, fault.allowed) from None

    def read(self, kind: type[T], table: Any, key: str) -> T:
        """Return a table."""
        try:
            return msgspec.convert(table, kind)
        except msgspec.ValidationError as fault:
            reason, _, place = str(fault).partition(" - at ")
            within = re.sub(r"^`\$\.?|`$", "", place)
            odd = re.search(r"(unknown|required) field `(.+)`", reason)
            if odd:
                wanted = (
                    "a value: it is required" if odd[1] == "required" else allowed(kind).removeprefix("a table with ")
                )
                raise ConfigError(f"{self._source}: {key}.{odd[2]}", table.get(odd[2]), wanted) from None
            value, wanted = find(table, kind, within)
            raise ConfigError(f"{self._source}: {key}{'.' if within else ''}{within}", value, wanted) from None


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _fits_any(pattern: str, names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)
