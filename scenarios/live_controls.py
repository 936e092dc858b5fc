"""Pure: what a person may do to the network of a running run, as values that travel to it as JSON.

Hosts are names or patterns such as `node-1*`.

Source: DESIGN sections 3 and 6 (live link changes by the control socket).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Hosts = Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(min_length=1, max_length=10_000)]


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True, tag_field="do"):
    """Base of all controls."""


class SetLinks(Control, frozen=True, tag="set"):
    """Links do what a tc line says, or `none`; None for `source` or `target` is every host."""

    line: str
    source: Hosts | None = None
    target: Hosts | None = None
    both_ways: bool = False


class ClearLinks(Control, frozen=True, tag="clear"):
    """Links do again what they did when the run began."""

    source: Hosts | None = None
    target: Hosts | None = None
    both_ways: bool = False


class Show(Control, frozen=True, tag="show"):
    """Tell what is not as it was when the run began."""


class Partition(Control, frozen=True, tag="partition"):
    """Cut a group of hosts off from others, by default from all others."""

    group: Hosts
    rest: Hosts | None = None
    one_way: bool = False


class Heal(Control, frozen=True, tag="heal"):
    """End all partitions that were made by hand."""


class Hold(Control, frozen=True, tag="hold"):
    """Hold back what would arrive between a group of hosts and others, by default all others."""

    group: Hosts
    rest: Hosts | None = None
    one_way: bool = False


class Release(Control, frozen=True, tag="release"):
    """End all holds that were made by hand."""


class Crash(Control, frozen=True, tag="crash"):
    """Crash hosts."""

    hosts: Hosts


class Restart(Control, frozen=True, tag="restart"):
    """Restart crashed hosts, whoever crashed them."""

    hosts: Hosts


class Pause(Control, frozen=True, tag="pause"):
    """Let the processes of hosts stand still."""

    hosts: Hosts


class Resume(Control, frozen=True, tag="resume"):
    """Let hosts that were paused by hand go on."""

    hosts: Hosts


class ResetStreams(Control, frozen=True, tag="reset"):
    """Reset all streams between two hosts."""

    one: str
    other: str


class HalfOpen(Control, frozen=True, tag="half-open"):
    """Let the first host lose its ends of all streams with the second without a word."""

    gone: str
    left: str


AnyControl = (
    SetLinks
    | ClearLinks
    | Show
    | Partition
    | Heal
    | Hold
    | Release
    | Crash
    | Restart
    | Pause
    | Resume
    | ResetStreams
    | HalfOpen
)


class Answer(msgspec.Struct, frozen=True):
    """What was done, in words for people and as data; or `refused`: a ConfigError's field, value and range."""

    said: list[str] = []
    data: dict[str, Any] = {}
    refused: tuple[str, str, str] | None = None


encode = msgspec.json.encode
decode_control = msgspec.json.Decoder(AnyControl).decode
decode_answer = msgspec.json.Decoder(Answer).decode
