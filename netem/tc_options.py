"""Pure: the options of a tc line that concern the link as a whole: rate, limit, slot, ecn, seed, and our own `ordered` and `mode`.

Source: iproute2 `tc-netem(8)` and `q_netem.c`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from netem import tc_units
from netem.distributions import NAMES
from netem.errors import ConfigError
from netem.link_config import MODES, LinkConfig
from netem.slot import Slot

_RATE = "RATE [PACKET_OVERHEAD [CELL_SIZE [CELL_OVERHEAD]]]"
_SLOT = "slot MIN [MAX] or slot distribution NAME DELAY JITTER, then [packets N] [bytes N]"
_MOST_BYTES = 10_000


def read_rate(words: Sequence[str]) -> dict[str, Any]:
    """Read `RATE [PACKET_OVERHEAD [CELL_SIZE [CELL_OVERHEAD]]]`."""
    if not 1 <= len(words) <= 4:
        raise ConfigError("impair rate", " ".join(words), _RATE)
    overhead, cell, cell_overhead = (
        tc_units.parse_whole(f"rate {name}", word, least=least, most=_MOST_BYTES)
        for name, word, least in zip(
            ("packet overhead", "cell size", "cell overhead"),
            (*words[1:], *["0"] * 3)[:3],
            (-_MOST_BYTES, 0, -_MOST_BYTES),
            strict=True,
        )
    )
    return {
        "rate_bytes_per_s": tc_units.parse_rate_bytes_per_s("impair rate", words[0]),
        "overhead_bytes": overhead,
        "cell_bytes": cell,
        "cell_overhead_bytes": cell_overhead,
    }


def read_limit(words: Sequence[str]) -> dict[str, Any]:
    """Read `PACKETS`."""
    return {"limit_packets": tc_units.parse_whole("limit", " ".join(words), least=1, most=2**32 - 1)}


def read_seed(words: Sequence[str]) -> dict[str, Any]:
    """Read a seed."""
    return {"seed": tc_units.parse_whole("seed", " ".join(words), least=0, most=2**64 - 1)}


def read_slot(words: Sequence[str]) -> dict[str, Any]:
    """Read `MIN [MAX]` or `distribution NAME DELAY JITTER`, and `[packets N] [bytes N]`."""
    left = list(words)
    budgets: dict[str, int] = {}
    for budget in ("packets", "bytes"):
        if budget in left:
            place = left.index(budget)
            number = " ".join(left[place + 1 : place + 2])
            if budget == "bytes":
                budgets[budget] = 0 if number == "0" else tc_units.parse_size_bytes("slot bytes", number)
            else:
                budgets[budget] = tc_units.parse_whole("slot packets", number, least=0, most=2**31 - 1)
            del left[place : place + 2]
    distribution = ""
    if left[:1] == ["distribution"]:
        distribution, *left = [*left[1:], ""] if len(left) < 2 else left[1:]
        if distribution not in NAMES:
            raise ConfigError("slot distribution", distribution, " or ".join(NAMES))
        if len(left) != 2:
            raise ConfigError("slot", " ".join(words), _SLOT)
    if not 1 <= len(left) <= 2:
        raise ConfigError("slot", " ".join(words), _SLOT)
    times_s = [tc_units.parse_time_s("slot", word) for word in left]
    return {"slot": Slot(times_s[0], times_s[-1], distribution, **budgets)}


def read_mode(words: Sequence[str]) -> dict[str, Any]:
    """Read `honest` or `kernel`."""
    if len(words) != 1 or words[0] not in MODES:
        raise ConfigError("mode", " ".join(words), " or ".join(MODES))
    return {"mode": words[0]}


def _flag(name: str) -> Callable[[Sequence[str]], dict[str, Any]]:
    def read(words: Sequence[str]) -> dict[str, Any]:
        if words:
            raise ConfigError(name, " ".join(words), f"{name} alone")
        return {name: True}

    return read


READERS: Mapping[str, Callable[[Sequence[str]], dict[str, Any]]] = MappingProxyType(
    {
        "ecn": _flag("ecn"),
        "limit": read_limit,
        "mode": read_mode,
        "ordered": _flag("ordered"),
        "rate": read_rate,
        "seed": read_seed,
        "slot": read_slot,
    }
)


def describe(config: LinkConfig) -> list[str]:
    """Return the options that say of a link what these readers read."""
    options = []
    if config.ecn:
        options.append("ecn")
    if config.rate_bytes_per_s != math.inf:
        extra = [config.overhead_bytes, config.cell_bytes, config.cell_overhead_bytes]
        while extra and not extra[-1]:
            extra.pop()
        options.append(" ".join([f"rate {tc_units.format_rate(config.rate_bytes_per_s)}", *map(str, extra)]))
    if config.slot is not None:
        options.append(_describe_slot(config.slot))
    if config.limit_packets is not None:
        options.append(f"limit {config.limit_packets}")
    if config.seed is not None:
        options.append(f"seed {config.seed}")
    if config.ordered:
        options.append("ordered")
    if config.mode != "honest":
        options.append(f"mode {config.mode}")
    return options


def _describe_slot(slot: Slot) -> str:
    times = [tc_units.format_time(slot.least_s), tc_units.format_time(slot.most_s)]
    words = ["slot", *(["distribution", slot.distribution] if slot.distribution else []), *times]
    for budget, number in (("packets", slot.packets), ("bytes", slot.bytes)):
        if number:
            words += [budget, str(number)]
    return " ".join(words)
