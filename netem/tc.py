"""Pure: links from tc-netem lines, and back.

Two words are ours and in no tc line: `ordered` (jitter never reorders) and `mode kernel` (what surprises in the kernel, too), besides
what `corrupt` may end with.

Source: iproute2 `tc-netem(8)`. What this emulator does not do is refused by name, never ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netem import tc_options
from netem.errors import ConfigError
from netem.impairments import kinds
from netem.impairments.base import Impairment
from netem.link import LinkConfig

# Options that say more of another one, wherever they stand.
_PARTS = (
    ("gap", "reorder", "reorder, which says how many packets are early"),
    ("distribution", "delay", "a delay and a jitter"),
)
_ALIASES = {"latency": "delay", "drop": "loss"}


def parse_tc(line: str) -> LinkConfig:
    """Read a pasted `tc qdisc ... netem ...` line, or its options alone.

    Raises:
        ConfigError: an option is unknown, given twice, malformed, or one that cannot be honoured.
    """
    # The path of a table keeps its case.
    words = [word if "/" in word or word.endswith(".dist") else word.lower() for word in line.split()]
    if "netem" in words:
        del words[: words.index("netem") + 1]
    options: dict[str, list[str]] = {}
    for option, arguments in _options([_ALIASES.get(word, word) for word in words]):
        if option in options:
            raise ConfigError("impair", f"second {option}", "every option once")
        options[option] = arguments
    for option, whole, why in _PARTS:
        if option in options:
            if whole not in options:
                raise ConfigError(option, " ".join(options[option]), f"{option} with {why}")
            options[whole] += [option, *options.pop(option)]
    fields = _fields(options)
    kernel = fields.get("mode") == "kernel"
    impairments = tuple(
        _impairment(option, options[option], kernel=kernel) for option in options if option in _first_words()
    )
    return LinkConfig(impairments, **fields)


def describe(config: LinkConfig) -> str:
    """Return the options of a tc line that `parse_tc` reads as `config` (the queue's size apart)."""
    options = [impairment.to_tc() for impairment in config.impairments]
    options += tc_options.describe(config)
    return " ".join(options) or "no impairment"


def _fields(options: dict[str, list[str]]) -> dict[str, Any]:
    """Return what the options say of the link as a whole, as arguments of `LinkConfig`."""
    fields: dict[str, Any] = {}
    for option, read in tc_options.READERS.items():
        if option in options:
            fields |= read(options[option])
    return fields


def _options(words: list[str]) -> list[tuple[str, list[str]]]:
    """Split words at the options' names."""
    known = {*_first_words(), *tc_options.READERS, *(option for option, _, _ in _PARTS)}
    options: list[tuple[str, list[str]]] = []
    for word in words:
        if word in known and not (word == "distribution" and options and options[-1] == ("slot", [])):
            options.append((word, []))
        elif options:
            options[-1][1].append(word)
        else:
            raise ConfigError("impair", word, _allowed())
    if not options:
        raise ConfigError("impair", " ".join(words), _allowed())
    return options


def _impairment(option: str, arguments: Sequence[str], *, kernel: bool) -> Impairment:
    # The longest introduction wins: `loss gemodel` before `loss`.
    words = (option, *arguments)
    kind = max((kind for kind in kinds().values() if words[: len(kind.tc)] == kind.tc), key=lambda kind: len(kind.tc))
    return kind.from_tc(words[len(kind.tc) :], kernel=kernel)


def _first_words() -> set[str]:
    return {kind.tc[0] for kind in kinds().values()}


def _allowed() -> str:
    introductions = {" ".join(kind.tc) for kind in kinds().values()} | {
        *tc_options.READERS,
        *(option for option, _, _ in _PARTS),
    }
    return "options " + ", ".join(sorted(introductions))
