"""Pure: what each directed link does when several people and guards have said something about it.

The rule: **what was said last holds.** A statement is about some pairs or about all; when it is taken back, what was said last of
the rest holds again, whatever the order in which statements end. Beneath them all is what the network began with.

Source: DESIGN section 3 (live, back to zero too, atomically per link).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from netem.faults import Pair
from netem.link import LinkConfig
from netem.tc import parse_tc

LinkOf = Callable[[str, str], LinkConfig]
NOTHING = "none"  # beside tc lines: no impairment


def as_config(config: LinkConfig | str) -> LinkConfig:
    """Return a configuration, read from a tc line or `none` if it is one; raise ConfigError as `parse_tc`."""
    if isinstance(config, LinkConfig):
        return config
    return LinkConfig() if config.strip() == NOTHING else parse_tc(config)


class Layers:
    """The statements that stand, by their serial numbers, which rise.

    Args:
        link_of: what a link did at the beginning, by source and target.
    """

    def __init__(self, link_of: LinkOf) -> None:
        self._link_of = link_of
        self._of_all: dict[int, LinkConfig] = {}
        self._of_pairs: dict[Pair, dict[int, LinkConfig]] = {}

    def config(self, pair: Pair) -> LinkConfig:
        """Return what a link does."""
        own = self._of_pairs.get(pair, {})
        if not (own or self._of_all):
            return self._link_of(*pair)
        newest = max((*own, *self._of_all))
        return own[newest] if newest in own else self._of_all[newest]

    def add(self, serial: int, pairs: Iterable[Pair] | None, config: LinkConfig) -> None:
        """State what pairs of hosts do, or with None all."""
        if pairs is None:
            self._of_all[serial] = config
            return
        for pair in pairs:
            self._of_pairs.setdefault(pair, {})[serial] = config

    def remove(self, serial: int) -> None:
        """Take a statement back; one that was cleared is gone already."""
        self._of_all.pop(serial, None)
        for own in self._of_pairs.values():
            own.pop(serial, None)

    def clear(self, serial: int, pairs: Iterable[Pair] | None) -> None:
        """State that pairs, or with None all, do again what they did at the beginning."""
        if pairs is None:
            self._of_all.clear()
            self._of_pairs.clear()
            return
        for pair in pairs:
            self._of_pairs[pair] = {serial: self._link_of(*pair)} if self._of_all else {}

    def changed(self) -> list[Pair]:
        """Return the pairs that something was said about apart from all others, sorted."""
        return sorted(pair for pair, own in self._of_pairs.items() if own)

    def common(self) -> LinkConfig | None:
        """Return what was said last about all links; None when nothing was."""
        return self._of_all[max(self._of_all)] if self._of_all else None
