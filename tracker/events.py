"""Pure: what the tracker and its bank tell the run's event stream.

Node ids, download ids and roots are bytes; amounts integer micro-credits; shares in [0, 1].
"""

from __future__ import annotations

from netem.events import Event


class NodeJoined(Event, frozen=True):
    """A node took part (again, when its epoch is above 1)."""

    node: bytes
    epoch: int


class NodeLeft(Event, frozen=True):
    """A node said goodbye (`leave`) or fell silent (`expired`)."""

    node: bytes
    reason: str


class FilePublished(Event, frozen=True):
    """A file entered the catalogue."""

    index: int
    name: str
    size_bytes: int
    root: bytes
    by: bytes


class FileOffered(Event, frozen=True):
    """A content provider sells licences to serve a file at a fixed price."""

    index: int
    provider: bytes
    price_credits: int


class LicenceSold(Event, frozen=True):
    """A node may serve a provider's file from now on, and has paid for it."""

    node: bytes
    index: int
    provider: bytes
    price_credits: int


class FileHeld(Event, frozen=True):
    """A node started or stopped to hold a file."""

    node: bytes
    index: int
    holds: bool


class BoardPosted(Event, frozen=True):
    """The odds π_j and the delivered shares that went out, by file index; `servers` nodes had a proven rate."""

    board: int
    shares: list[float]
    delivered: list[float]
    servers: int


class FeeHeld(Event, frozen=True):
    """A download was opened: its flat fee is held."""

    download: bytes
    index: int
    downloader: bytes
    fee_credits: int


class DownloadSettled(Event, frozen=True):
    """A hold was released: payouts by server (sorted by id), the rest refunded. `how` is `close` or `expiry`."""

    download: bytes
    how: str
    payouts: list[tuple[bytes, int]]
    refund_credits: int


class EquivocationSeen(Event, frozen=True):
    """A node signed two things that contradict each other."""

    node: bytes
    what: str


class FramesDropped(Event, frozen=True):
    """How many frames a receiver dropped, by kind (sorted); told once, at its end."""

    where: str
    kinds: list[tuple[str, int]]
