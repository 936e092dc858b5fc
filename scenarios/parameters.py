"""Pure: a scenario's parameters: frozen structs with ranges, filled from defaults and from values by key.

A wrong key or value raises `ConfigError` with the field, the value and what is allowed; nothing is guessed or ignored.

Source: DESIGN section 6 (the keys that every scenario takes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from msgspec import inspect as shape

from netem.errors import ConfigError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from netem.tc import parse_tc

LARGEST_LOSS = 0.5  # beyond it, eight losses in a row, at which emulated TCP gives up, are nothing unusual
LONGEST_DELAY_S = 1.0  # beyond it, reconnecting and asking does not fit into the time a node waits for an answer
LOWEST_RATE_BYTES_PER_S = 1_000.0  # below it, heartbeats alone fill the line
HIGHEST_UPLOAD_BYTES_PER_S = 1e9  # upload is the scarce good: shares of an endless one mean nothing

Nodes = Annotated[int, Meta(ge=2, le=5_000)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_DELAY_S)]
Rate = Annotated[float, Meta(ge=LOWEST_RATE_BYTES_PER_S)]
Upload = Annotated[Rate, Meta(le=HIGHEST_UPLOAD_BYTES_PER_S)]


class LinkParams(msgspec.Struct, frozen=True, kw_only=True):
    """What every link and node does. Rates are bytes per second; `inf` is no limit."""

    loss: Annotated[float, Meta(ge=0, le=LARGEST_LOSS, description="probability that a datagram is lost, each way")] = (
        0.05
    )
    delay_s: Annotated[Seconds, Meta(description="one-way delay of every link")] = 0.02
    jitter_s: Annotated[Seconds, Meta(description="half-range of the uniform jitter around it")] = 0.005
    rate_bytes_per_s: Annotated[Rate, Meta(description="rate of every link; inf is no limit")] = math.inf
    impair: Annotated[
        str, Meta(description="a tc netem line, instead of loss, delay_s, jitter_s, rate_bytes_per_s")
    ] = ""
    upload_bytes_per_s: Annotated[Upload, Meta(description="upload of every node")] = 125_000.0
    download_bytes_per_s: Annotated[Rate, Meta(description="download of every node; inf is no limit")] = math.inf

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


class Params(LinkParams, frozen=True, kw_only=True):
    """What every scenario takes."""

    nodes: Annotated[Nodes, Meta(description="nodes beside the tracker")] = 20
    duration_s: Annotated[float, Meta(gt=0, le=86_400, description="how long the crowd keeps coming")] = 45.0
    port: Annotated[int, Meta(ge=0, le=65_535, description="the tracker's TCP and UDP port; 0 picks a free one")] = 0


def _link_of(line: str) -> LinkConfig:
    try:
        link = parse_tc(line)
    except ConfigError as fault:
        option = fault.field.removeprefix("impair").strip()
        raise ConfigError(f"impair {option}".rstrip(), fault.value, fault.allowed) from None
    kept = math.prod(1 - impairment.loss_rate() for impairment in link.impairments)
    if 1 - kept > LARGEST_LOSS:
        raise ConfigError("impair loss", line, f"a loss of 0% to {LARGEST_LOSS:.0%}")
    if link.mean_delay_s() > LONGEST_DELAY_S:
        raise ConfigError("impair delay", line, f"a delay of 0 to {LONGEST_DELAY_S:g} s")
    if link.rate_bytes_per_s < LOWEST_RATE_BYTES_PER_S:
        raise ConfigError("impair rate", line, f"a rate from {8 * LOWEST_RATE_BYTES_PER_S:g}bit")
    return link


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


def allowed(kind: Any) -> str:
    """Describe the values that a parameter's type allows, for people."""
    info = shape.type_info(kind)
    while isinstance(info, shape.Metadata):
        info = info.type
    if isinstance(info, shape.LiteralType):
        return ", ".join(str(value) for value in info.values)
    if isinstance(info, shape.IntType | shape.FloatType):
        noun = "a whole number" if isinstance(info, shape.IntType) else "a number"
        low = f"from {info.ge:g}" if info.ge is not None else f"above {info.gt:g}" if info.gt is not None else ""
        high = f"to {info.le:g}" if info.le is not None else f"below {info.lt:g}" if info.lt is not None else ""
        return " ".join(word for word in (noun, low, high) if word)
    if isinstance(info, shape.BoolType):
        return "true or false"
    return "text" if isinstance(info, shape.StrType) else str(kind)


def describe(kind: type[LinkParams]) -> dict[str, dict[str, Any]]:
    """Describe a scenario's parameters by key: default, what it is, what is allowed."""
    rows = {}
    for name, field in ((field.name, field) for field in msgspec.structs.fields(kind)):
        info: Any = shape.type_info(field.type)
        description = ""
        while isinstance(info, shape.Metadata):
            description = description or (info.extra_json_schema or {}).get("description", "")
            info = info.type
        endless = isinstance(field.default, float) and math.isinf(field.default)  # JSON knows no infinity
        default = str(field.default) if endless else field.default
        rows[name] = {"default": default, "description": description, "allowed": allowed(field.type)}
    return rows
