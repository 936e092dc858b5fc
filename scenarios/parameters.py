"""Pure: a scenario's parameters: frozen structs with ranges, filled from defaults and from values by key.

A wrong key or value raises `ConfigError` with the field, the value and what is allowed; nothing is guessed or ignored.

Source: DESIGN section 6 (the keys that every scenario takes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta
from msgspec import inspect as shape

from netem.errors import ConfigError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.ranges import allowed
from netem.tc import parse_tc
from netem.topology import Access
from node.bidding import CONTROL_RESERVE
from tracker.blocks import BLOCK_OVERHEAD_BYTES
from tracker.messages import BLOCK_BYTES

LARGEST_LOSS = 0.5  # beyond it, eight losses in a row, at which emulated TCP gives up, are nothing unusual
LONGEST_DELAY_S = 1.0  # beyond it, reconnecting and asking does not fit into the time a node waits for an answer
LOWEST_RATE_BYTES_PER_S = 1_000.0  # below it, heartbeats alone fill the line
STANDARD_FILES = 8
HIGHEST_UPLOAD_BYTES_PER_S = 1e9  # upload is the scarce good: shares of an endless one mean nothing

UNITS = {"_bytes_per_s": "bytes/s", "_bytes": "bytes", "_credits": "micro-credits", "_ns": "ns", "_s": "s"}
"""Units by the suffix of a parameter's name; any other number names its unit, and a pure one says "1"."""


def param(description: str, *, unit: str | None = None, **bounds: float) -> Meta:
    """Describe a parameter and its range.

    `files: Annotated[int, param("files to fetch", unit="files", ge=1)] = 3` is a whole parameter.

    Args:
        description: what it is, for `swarmbed list`.
        unit: what a number counts, "1" for a pure number; None when the name says it (see `UNITS`), and for text.
        bounds: its range, as `ge`, `gt`, `le`, `lt`.
    """
    make: Any = Meta  # its stubs allow some bounds beside each other, and no mapping of them
    meta: Meta = make(description=description, extra_json_schema={"unit": unit} if unit else None, **bounds)
    return meta


Nodes = Annotated[int, param("nodes beside the tracker", unit="nodes", ge=2, le=5_000)]
Duration = Annotated[float, param("how long the crowd keeps coming", gt=0, le=86_400)]
LossShare = Annotated[float, param("probability that a datagram is lost, each way", unit="1", ge=0, le=LARGEST_LOSS)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_DELAY_S)]
Rate = Annotated[float, Meta(ge=LOWEST_RATE_BYTES_PER_S)]
Upload = Annotated[float, param("upload of every node", ge=LOWEST_RATE_BYTES_PER_S, le=HIGHEST_UPLOAD_BYTES_PER_S)]


class LinkParams(msgspec.Struct, frozen=True, kw_only=True):
    """What every link and node does. Rates are bytes per second; `inf` is no limit.

    `one_process` says whether the scenario needs all nodes in its own process.
    """

    one_process: ClassVar[bool] = False

    loss: LossShare = 0.05
    delay_s: Annotated[Seconds, param("one-way delay of every link")] = 0.02
    jitter_s: Annotated[Seconds, param("half-range of the uniform jitter around it")] = 0.005
    rate_bytes_per_s: Annotated[Rate, param("rate of every link; inf is no limit")] = math.inf
    impair: Annotated[str, param("a tc netem line, instead of loss, delay_s, jitter_s, rate_bytes_per_s")] = ""
    upload_bytes_per_s: Upload = 125_000.0
    download_bytes_per_s: Annotated[Rate, param("download of every node; inf is no limit")] = math.inf

    def link(self) -> LinkConfig:
        """Return the configuration of every link.

        Raises:
            ConfigError: a bad tc line, one outside the ranges of the keys it stands for, or jitter larger than the delay.
        """
        if self.impair:
            return _link_of(self.impair)
        if self.jitter_s > self.delay_s:
            raise ConfigError("jitter_s", self.jitter_s, f"0 to delay_s ({self.delay_s:g})")
        impairments = (
            *([Loss(self.loss)] if self.loss else []),
            *([Delay(self.delay_s, self.jitter_s)] if self.delay_s else []),
        )
        return LinkConfig(impairments, rate_bytes_per_s=self.rate_bytes_per_s)

    def goodput_bytes_per_s(self) -> float:
        """Return what one server delivers of a file when nothing else limits it: upload less reserve, headers and losses."""
        useful = BLOCK_BYTES / (BLOCK_BYTES + BLOCK_OVERHEAD_BYTES)
        link = self.link()
        whole = (1 - link.loss_rate()) * (1 - link.corrupt_rate())  # a damaged block is as good as lost
        return self.upload_bytes_per_s * (1 - CONTROL_RESERVE) * useful * whole


class Params(LinkParams, frozen=True, kw_only=True):
    """What every scenario takes.

    `demand_keys` are the keys that say how much is asked for; the first bounds `wanted_bytes_per_s`, and follows the host in
    real time when the user gives none of them.
    """

    demand_keys: ClassVar[tuple[str, ...]] = ()

    nodes: Nodes = 20
    duration_s: Duration = 45.0
    topology: Annotated[
        str, param("a TOML file with regions, latencies, links and access links; see netem/TOPOLOGY_AND_FAULTS.md")
    ] = ""
    port: Annotated[int, param("the tracker's TCP and UDP port; 0 picks a free one", unit="1", ge=0, le=65_535)] = 0

    def standard_files(self) -> int:
        """Return how many files of the standard library are shared when the user names no directory."""
        return STANDARD_FILES

    def wanted_bytes_per_s(self) -> float:
        """Return how many bytes/s all nodes together want to move: by default as many as they can upload."""
        return self.nodes * self.upload_bytes_per_s


def _link_of(line: str) -> LinkConfig:
    try:
        link = parse_tc(line)
    except ConfigError as fault:
        option = fault.field.removeprefix("impair").strip()
        raise ConfigError(f"impair {option}".rstrip(), fault.value, fault.allowed) from None
    check_link("impair", link, shown=line)
    return link


def check_link(field: str, link: LinkConfig, *, shown: str) -> None:
    """Refuse a link outside the ranges of the link keys: raise ConfigError for the field, showing what was given (or "", a delay)."""
    kept = math.prod(1 - impairment.loss_rate() for impairment in link.impairments) * (1 - link.corrupt_rate())
    if 1 - kept > LARGEST_LOSS:
        raise ConfigError(f"{field} loss", shown, f"a loss (damage included) of 0% to {LARGEST_LOSS:.0%}")
    if link.mean_delay_s() > LONGEST_DELAY_S:
        shown = shown or f"{link.mean_delay_s():g} s"
        raise ConfigError(f"{field} delay", shown, f"a delay of 0 to {LONGEST_DELAY_S:g} s")
    if link.rate_bytes_per_s < LOWEST_RATE_BYTES_PER_S:
        raise ConfigError(f"{field} rate", shown, f"a rate from {8 * LOWEST_RATE_BYTES_PER_S:g}bit")


def check_access(field: str, access: Access) -> None:
    """Refuse an access link outside the ranges of the node keys: raise ConfigError for the field."""
    for key, kind in (("upload_bytes_per_s", Upload), ("download_bytes_per_s", Rate)):
        value = getattr(access, key)
        if value is not None:
            _read(f"{field}.{key}", value, kind)


P = TypeVar("P", bound=LinkParams)


def fill(kind: type[P], values: Mapping[str, object]) -> P:
    """Make the parameters of a scenario from values by key; strings are read as the field's type.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or outside its range.
    """
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    filled: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise ConfigError(key, value, f"a key of this scenario: {', '.join(sorted(fields))}")
        filled[key] = _read(key, value, fields[key].type)
    return kind(**filled)


def read_settings(settings: Iterable[str]) -> dict[str, object]:
    """Read `key=value` settings; the last of a key wins.

    Raises:
        ConfigError: no `=`, or no key before it.
    """
    values: dict[str, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError("--set", setting, "key=value")
        values[key.strip()] = value.strip()
    return values


def _read(key: str, value: object, kind: Any) -> Any:
    try:
        read = msgspec.convert(value, kind, strict=not isinstance(value, str))
    except msgspec.ValidationError:
        raise ConfigError(key, value, allowed(kind)) from None
    if isinstance(read, float) and math.isnan(read):
        raise ConfigError(key, value, allowed(kind))
    return read


def describe(kind: type[LinkParams]) -> dict[str, dict[str, Any]]:
    """Describe a scenario's parameters by key: default, unit ("" for text, "1" for a pure number), what it is, what is allowed."""
    rows = {}
    for field in msgspec.structs.fields(kind):
        endless = isinstance(field.default, float) and math.isinf(field.default)  # JSON knows no infinity
        told, plain = _told(field.type)
        unit = next((unit for suffix, unit in UNITS.items() if field.name.endswith(suffix)), "")
        rows[field.name] = {
            "default": str(field.default) if endless else field.default,
            "unit": (told.get("unit") or unit) if isinstance(plain, shape.IntType | shape.FloatType) else "",
            "description": told.get("description", ""),
            "allowed": allowed(field.type),
        }
    return rows


def undeclared(kind: type[LinkParams]) -> str:
    """Say what the first parameter lacks that is not fully declared: default, description or unit; "" when all are."""
    for field in msgspec.structs.fields(kind):
        told, plain = _told(field.type)
        if field.default is msgspec.NODEFAULT:
            return f"{field.name}: a default"
        if not told.get("description"):
            return f'{field.name}: a description, as Annotated[..., param("...")]'
        number = isinstance(plain, shape.IntType | shape.FloatType)
        if number and not told.get("unit") and not field.name.endswith(tuple(UNITS)):
            return f'{field.name}: a unit, by its suffix ({", ".join(UNITS)}) or as param(..., unit="...")'
    return ""


def _told(kind: Any) -> tuple[dict[str, Any], Any]:
    """Return what a type's annotations say beside its range, the outermost first, and the plain type below them."""
    info: Any = shape.type_info(kind)
    told: dict[str, Any] = {}
    while isinstance(info, shape.Metadata):
        told = (info.extra_json_schema or {}) | told
        info = info.type
    return told, info
