"""Pure: live changes to a network as values, so that every process of a run makes the same ones.

Source: DESIGN section 3.
"""

from __future__ import annotations

import msgspec

from netem.faults import Pair


class Change(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all changes."""


class Impair(Change, frozen=True):
    """The link from `source` to `target` does `config` (from `plain_link.to_plain`) from now on."""

    source: str
    target: str
    config: bytes


class ImpairAll(Change, frozen=True):
    """Every link does `config`, those to come included."""

    config: bytes


class Cut(Change, frozen=True):
    """Directed pairs of hosts are cut off once more."""

    pairs: list[Pair]


class Mend(Change, frozen=True):
    """One cut of each pair is undone."""

    pairs: list[Pair]


class Crash(Change, frozen=True):
    """A host is down."""

    host: str


class Restart(Change, frozen=True):
    """A crashed host is up again."""

    host: str


class Begin(Change, frozen=True):
    """The preparations are over."""


class End(Change, frozen=True):
    """All that matters is over."""


AnyChange = Impair | ImpairAll | Cut | Mend | Crash | Restart | Begin | End
