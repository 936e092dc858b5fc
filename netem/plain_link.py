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


class _Plain(msgspec.Struct, array_like=True):
    impairments: list[tuple[str, dict[str, Any]]]
    rate_bytes_per_s: float
    queue_bytes: int


@functools.lru_cache(maxsize=4096)
def to_plain(config: LinkConfig) -> bytes:
    """Return a configuration as MessagePack bytes; equal configurations have equal bytes."""
    impairments = [(one.name, dataclasses.asdict(one)) for one in config.impairments]  # type: ignore[call-overload]  # each is a dataclass
    return msgspec.msgpack.encode(_Plain(impairments, config.rate_bytes_per_s, config.queue_bytes))


@functools.lru_cache(maxsize=4096)
def from_plain(data: bytes) -> LinkConfig:
    """Return the configuration that `to_plain` encoded.

    Raises:
        ConfigError: a value is out of range.
        msgspec.DecodeError: these are not such bytes.
    """
    plain = msgspec.msgpack.decode(data, type=_Plain)
    impairments = tuple(kinds()[name](**fields) for name, fields in plain.impairments)
    return LinkConfig(impairments, plain.rate_bytes_per_s, plain.queue_bytes)
