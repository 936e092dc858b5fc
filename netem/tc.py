"""Pure: links from tc-netem lines, and back.

Source: iproute2 `tc-netem(8)`. What this emulator does not do is refused by name, never ignored.
"""

from __future__ import annotations

import math

from netem import tc_units
from netem.errors import ConfigError
from netem.impairments import kinds
from netem.impairments.base import Impairment
from netem.link import LinkConfig

_ALIASES = {"latency": "delay", "drop": "loss"}
_REFUSED = frozenset({"corrupt", "reorder", "gap", "slot", "limit", "seed", "ecn"})
_REFUSED_LOSS = frozenset({"state"})


def parse_tc(line: str) -> LinkConfig:
    """Read a pasted `tc qdisc ... netem ...` line, or its options alone.

    Raises:
        ConfigError: an option is unknown, given twice, malformed, or one that cannot be honoured.
    """
    words = [_ALIASES.get(word, word) for word in line.lower().split()]
    if "netem" in words:
        del words[: words.index("netem") + 1]
    impairments: list[Impairment] = []
    rate_bytes_per_s = math.inf
    seen: set[str] = set()
    for option, arguments in _options(words):
        if option in seen:
            raise ConfigError("impair", f"second {option}", "every option once")
        seen.add(option)
        if option == "rate":
            rate_bytes_per_s = _rate(arguments)
        else:
            impairments.append(_impairment(option, arguments))
    return LinkConfig(tuple(impairments), rate_bytes_per_s)


def describe(config: LinkConfig) -> str:
    """Return the options of a tc line that `parse_tc` reads as `config` (the queue's size apart)."""
    options = [impairment.to_tc() for impairment in config.impairments]
    if config.rate_bytes_per_s != math.inf:
        options.append(f"rate {tc_units.format_rate(config.rate_bytes_per_s)}")
    return " ".join(options) or "no impairment"


def _options(words: list[str]) -> list[tuple[str, list[str]]]:
    """Split words at the options' names."""
    known = _known_options()
    options: list[tuple[str, list[str]]] = []
    for word in words:
        if word in known or word in _REFUSED:
            options.append((word, []))
        elif options:
            options[-1][1].append(word)
        else:
            raise ConfigError("impair", word, _allowed())
    if not options:
        raise ConfigError("impair", " ".join(words), _allowed())
    return options


def _impairment(option: str, arguments: list[str]) -> Impairment:
    if option in _REFUSED or (option == "loss" and arguments and arguments[0] in _REFUSED_LOSS):
        raise ConfigError("impair", " ".join((option, *arguments)), _allowed())
    # The longest introduction wins: `loss gemodel` before `loss`.
    words = (option, *arguments)
    kind = max((kind for kind in kinds().values() if words[: len(kind.tc)] == kind.tc), key=lambda kind: len(kind.tc))
    return kind.from_tc(words[len(kind.tc) :])


def _rate(arguments: list[str]) -> float:
    if len(arguments) != 1:
        raise ConfigError("impair rate", " ".join(arguments), "one rate, without packet overhead or cells")
    return tc_units.parse_rate_bytes_per_s("impair rate", arguments[0])


def _known_options() -> list[str]:
    return sorted({"rate"} | {kind.tc[0] for kind in kinds().values()})


def _allowed() -> str:
    introductions = sorted({" ".join(kind.tc) for kind in kinds().values()} | {"rate"})
    return "options " + ", ".join(introductions)
