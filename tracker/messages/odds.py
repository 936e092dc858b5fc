"""Pure: messages about what servers bid and prove, and the board of odds that the tracker makes of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tracker.messages.fields import FileIndex, Message, Share


class Heartbeat(Message, frozen=True):
    """A node is alive; this is its declared split f_ij over the files it holds (a page of it). Tagged."""

    page: Annotated[int, Meta(ge=0, lt=256)]
    pages: Annotated[int, Meta(ge=1, le=256)]
    bids: list[tuple[FileIndex, Share]]


class GetStanding(Message, frozen=True):
    """A server asks what share of all bandwidth it is taken to have, beside its heartbeat. Tagged."""


class Standing(Message, frozen=True):
    """The tracker's answer: B_i/Σ_k B_k of the asking server on the newest board; 0 if it had no bid there. Tagged."""

    share: Share


class Deposit(Message, frozen=True):
    """A server forwards receipts (exact signed frames) that it got from downloaders. Tagged."""

    receipts: list[bytes]


class Odds(Message, frozen=True):
    """One page of the odds board. Signed; fanned out to every node.

    `shares` are little-endian float32 π_j for the files from `first` on; `delivered` the delivered shares alike.
    """

    page: Annotated[int, Meta(ge=0, lt=4096)]
    pages: Annotated[int, Meta(ge=1, le=4096)]
    first: FileIndex
    shares: bytes
    delivered: bytes
