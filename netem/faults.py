"""Pure: which directed pairs of hosts are cut, when partitions may overlap; and the event that tells of any fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from netem.errors import ConfigError
from netem.events import Event

Pair = tuple[str, str]
KINDS = ("impair", "partition", "heal", "crash", "restart")


class FaultMade(Event, frozen=True):
    """A scenario or a person changed the network while it ran: one of `KINDS`, and what in words."""

    kind: str
    what: str


class Cuts:
    """Count the cuts of each directed pair of host names; a pair is open while it has none."""

    def __init__(self) -> None:
        self._cuts: Counter[Pair] = Counter()

    def is_open(self, pair: Pair) -> bool:
        """Say whether packets pass from the first host to the second."""
        return not self._cuts[pair]

    def add(self, pairs: Iterable[Pair]) -> None:
        """Cut pairs once more."""
        self._cuts.update(pairs)

    def remove(self, pairs: Iterable[Pair]) -> None:
        """Undo one cut of each pair."""
        self._cuts.subtract(pairs)


def pairs_between(group: Sequence[str], rest: Sequence[str], *, one_way: bool) -> list[Pair]:
    """Return the directed pairs that a partition cuts: group to rest, and back unless `one_way`.

    Raises:
        ConfigError: a host is on both sides.
    """
    both = sorted(set(group) & set(rest))
    if both:
        raise ConfigError("partition", both, "no host on both sides")
    there = [(source, target) for source in group for target in rest]
    return there if one_way else there + [(target, source) for source, target in there]
