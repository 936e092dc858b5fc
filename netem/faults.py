"""Pure: which directed pairs of hosts are cut or held, when faults may overlap; and the event that tells of any fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from netem.errors import ConfigError
from netem.events import Event

Pair = tuple[str, str]
WORDS = {
    "impair": "links changed",
    "restore": "a change of links taken back",
    "partition": "hosts cut off",
    "heal": "a cut ended",
    "hold": "packets held back",
    "release": "a hold ended",
    "flap": "a link going up and down",
    "crash": "a host down",
    "restart": "a host up again",
    "pause": "a process standing still",
    "resume": "a process going on",
    "churn": "hosts coming and going",
    "skew": "a clock wrong",
    "unskew": "a clock right again",
    "reset": "streams reset",
    "half_open": "streams lost at one end",
}
KINDS = tuple(WORDS)


class FaultMade(Event, frozen=True):
    """A scenario or a person changed the network while it ran: one of `KINDS`, and what in words."""

    kind: str
    what: str


class Counts:
    """Count what is done to each directed pair of host names; a pair is free while nothing is."""

    def __init__(self) -> None:
        self._counts: Counter[Pair] = Counter()

    def is_free(self, pair: Pair) -> bool:
        """Say whether nothing is done to packets from the first host to the second."""
        return not self._counts.get(pair)

    def add(self, pairs: Iterable[Pair]) -> None:
        """Do it to pairs once more."""
        self._counts.update(pairs)

    def remove(self, pairs: Iterable[Pair]) -> None:
        """Undo it once for each pair."""
        self._counts.subtract(pairs)

    def pairs(self) -> list[Pair]:
        """Return the pairs that it is done to, sorted."""
        return sorted(pair for pair, count in self._counts.items() if count)


def pairs_between(group: Sequence[str], rest: Sequence[str], *, one_way: bool, fault: str = "partition") -> list[Pair]:
    """Return the directed pairs that a partition cuts: group to rest, and back unless `one_way`.

    Raises:
        ConfigError: a host is on both sides, or none on one.
    """
    if not group or not rest:
        raise ConfigError(fault, "nobody", "at least one host on each side")
    both = sorted(set(group) & set(rest))
    if both:
        raise ConfigError(fault, both, "no host on both sides")
    there = [(source, target) for source in group for target in rest]
    return there if one_way else there + [(target, source) for source, target in there]
