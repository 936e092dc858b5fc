"""Pure: what a node tells the run's event stream."""

from __future__ import annotations

from netem.events import Event


class DownloadStarted(Event, frozen=True):
    """A node wants a file; the fee is held and `servers` servers are known."""

    node: bytes
    download: bytes
    index: int
    servers: int


class PieceAccepted(Event, frozen=True):
    """A piece verified and was kept; `sources` are the accepted bytes by server, sorted by id."""

    node: bytes
    download: bytes
    index: int
    piece: int
    sources: list[tuple[bytes, int]]


class DownloadFinished(Event, frozen=True):
    """A file is whole on disk. `sha256` is of the file as read back."""

    node: bytes
    download: bytes
    index: int
    sha256: bytes
    blocks: int
    wasted_blocks: int


class DownloadStopped(Event, frozen=True):
    """A download ended early: `stopped` (the run's end), `no-servers`, `expired` or a rejection's code."""

    node: bytes
    download: bytes
    index: int
    reason: str
    blocks: int


class LicenceBought(Event, frozen=True):
    """A node was told that the licence to serve a provider's file is its own, and what it paid."""

    node: bytes
    index: int
    price_credits: int


class OddsHeard(Event, frozen=True):
    """At its end a node tells how many pages of the odds it heard, and how many were lost on the way since the first."""

    node: bytes
    pages: int
    missed: int


class ServerBanned(Event, frozen=True):
    """A node will never again use a server that sent bad blocks of a piece."""

    node: bytes
    download: bytes
    server: bytes
    piece: int
