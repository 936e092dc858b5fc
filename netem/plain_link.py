"""Pure: a link's configuration as bytes, for other processes and back, exactly.

A tc line would do for people; it rounds.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import msgspec

from netem.impairments import kinds
from netem.link import LinkConfig
from netem.slot import Slot


class _Plain(msgspec.Struct, array_like=True):
    impairments: list[tuple[str, dict[str, Any]]]
    slot: dict[str, Any] | None
    fields: dict[str, Any]


@functools.lru_cache(maxsize=4096)
def to_plain(config: LinkConfig) -> bytes:
    """Return a configuration as MessagePack bytes; equal configurations have equal bytes."""
    impairments = [(one.name, dataclasses.asdict(one)) for one in config.impairments]  # type: ignore[call-overload]  # each is a dataclass
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    del fields["impairments"], fields["slot"]
    slot = None if config.slot is None else dataclasses.asdict(config.slot)
    return msgspec.msgpack.encode(_Plain(impairments, slot, fields))


@functools.lru_cache(maxsize=4096)
def from_plain(data: bytes) -> LinkConfig:
    """Return the configuration that `to_plain` encoded.

    Raises:
        ConfigError: a value is out of range.
        msgspec.DecodeError: these are not such bytes.
    """
    plain = msgspec.msgpack.decode(data, type=_Plain)
    impairments = tuple(kinds()[name](**fields) for name, fields in plain.impairments)
    return LinkConfig(impairments, slot=None if plain.slot is None else Slot(**plain.slot), **plain.fields)
