"""Pure: messages about a download from its order to its close, and what passes between downloader and servers meanwhile."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tracker.messages.fields import (
    Bytes,
    Credits,
    DownloadId,
    FileIndex,
    HostName,
    Key,
    Message,
    NodeId,
    Port,
    Reason,
    Run,
)


class Open(Message, frozen=True):
    """A downloader asks to fetch a file: the bank holds the flat fee."""

    download: DownloadId
    index: FileIndex


class Order(Message, frozen=True):
    """The tracker's signed word that a download is paid for; the downloader shows it to servers.

    It carries the downloader's keys, so that a server needs nobody else to talk with it.
    """

    download: DownloadId
    index: FileIndex
    downloader: NodeId
    sign_key: Key
    exchange_key: Key
    epoch: int
    expires_ns: int


class Server(Message, frozen=True):
    """One server of a file and how to reach it."""

    node: NodeId
    sign_key: Key
    exchange_key: Key
    epoch: int
    host: HostName
    port: Port


class Opened(Message, frozen=True):
    """The fee is held: the signed order (an exact frame) and who serves the file now."""

    order: bytes
    fee_credits: Credits
    servers: list[Server]


class GetServers(Message, frozen=True):
    """Ask who serves a file now, answered by `Servers`."""

    index: FileIndex


class Servers(Message, frozen=True):
    """Who serves a file now."""

    servers: list[Server]


class Close(Message, frozen=True):
    """The downloader's final word: accepted bytes per server. Signed; a second, different one is equivocation."""

    download: DownloadId
    totals: list[tuple[NodeId, Bytes]]  # by node id, each once


class Closed(Message, frozen=True):
    """The download is settled, or will be when the time for deposits is over."""

    settles_ns: int


class Request(Message, frozen=True):
    """Ask a server for blocks [first, first + count) of pieces. Tagged.

    `order` is the signed order frame until the server has answered, then empty.
    """

    download: DownloadId
    index: FileIndex
    runs: list[Run]
    order: bytes = b""
    replaces: bool = False  # forget what this download asked for before


class Refusal(Message, frozen=True):
    """A server will not serve a download (`not-held`, `no-order`, `expired`, `unpaid`), or the tracker take its receipts. Tagged."""

    download: DownloadId
    reason: Reason


class Queued(Message, frozen=True):
    """A server has a request and serves older downloads of the file first, for about `wait_ns`. Tagged.

    So silence is no loss, and asking again is no use.
    """

    download: DownloadId
    wait_ns: Annotated[int, Meta(ge=0, lt=2**62)]


class Receipt(Message, frozen=True):
    """The downloader's signed, cumulative word on what it accepted from one server. The largest total wins.

    `root` is BLAKE2b-256 chained over the accepted (piece, bytes) in order (`tracker/settlement.py`).
    """

    download: DownloadId
    server: NodeId
    total_bytes: Bytes
    count: Annotated[int, Meta(ge=0)]
    root: Key


class Done(Message, frozen=True):
    """The downloader needs nothing more: what is still queued for it need not be sent. Tagged; losing it does little harm."""

    download: DownloadId
