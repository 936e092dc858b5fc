"""Pure: live changes to a network as values, so that every process of a run makes the same ones.

A change that can be taken back carries a serial number, by which it is.

Source: DESIGN section 3.
"""

from __future__ import annotations

import msgspec

from netem.faults import Pair


class Change(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all changes."""


class Impair(Change, frozen=True):
    """The links of `pairs`, or with None all, do `config` (from `plain_link.to_plain`) from now on."""

    serial: int
    pairs: list[Pair] | None
    config: bytes


class Restore(Change, frozen=True):
    """An `Impair` is taken back."""

    serial: int


class Clear(Change, frozen=True):
    """The links of `pairs`, or with None all, do again what they did at the beginning."""

    serial: int
    pairs: list[Pair] | None


class Cut(Change, frozen=True):
    """Directed pairs of hosts are cut off once more."""

    pairs: list[Pair]


class Mend(Change, frozen=True):
    """One cut of each pair is undone."""

    pairs: list[Pair]


class Hold(Change, frozen=True):
    """What arrives between directed pairs of hosts is held back once more."""

    pairs: list[Pair]


class Release(Change, frozen=True):
    """One hold of each pair is undone."""

    pairs: list[Pair]


class Crash(Change, frozen=True):
    """A host is down."""

    host: str


class Restart(Change, frozen=True):
    """A crashed host is up again."""

    host: str


class Pause(Change, frozen=True):
    """A host's process stands still once more."""

    host: str


class Resume(Change, frozen=True):
    """One pause of a host is over."""

    host: str


class Skew(Change, frozen=True):
    """A host's clock is wrong by an offset, and by `drift_ppb` ns more each second."""

    serial: int
    host: str
    offset_ns: int
    drift_ppb: int


class Unskew(Change, frozen=True):
    """A `Skew` is taken back."""

    serial: int
    host: str


class Reset(Change, frozen=True):
    """The streams between two hosts, on all ports (0) or one of a listener, break at both ends."""

    ends: Pair
    port: int


class Vanish(Change, frozen=True):
    """The first host's ends of its streams with the second vanish without a word."""

    ends: Pair
    port: int


class Begin(Change, frozen=True):
    """The preparations are over."""


class End(Change, frozen=True):
    """All that matters is over."""


AnyChange = (
    Impair
    | Restore
    | Clear
    | Cut
    | Mend
    | Hold
    | Release
    | Crash
    | Restart
    | Pause
    | Resume
    | Skew
    | Unskew
    | Reset
    | Vanish
    | Begin
    | End
)
