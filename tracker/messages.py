"""Pure: every message of the market, the bank and membership, as typed MessagePack arrays.

A message is the body of a control frame (`tracker/wire.py`). Its number in `TYPES` is never reused; a new field goes last
and has a default, so that old and new peers read each other. Ranges are part of the types: a value outside is a `BadFrame`.

Units: `_credits` are integer micro-credits, `_bytes_per_s` bytes per second, `_ns` Unix nanoseconds, shares in [0, 1].

Source: DESIGN section 4.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

PIECE_BYTES = 256 * 1024
BLOCK_BYTES = 1024
MAX_FILES = 65_536
EVERYBODY = bytes(8)  # the `to` of a frame that is for whoever gets it

NodeId = Annotated[bytes, Meta(min_length=8, max_length=8)]
DownloadId = Annotated[bytes, Meta(min_length=16, max_length=16)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
FileIndex = Annotated[int, Meta(ge=0, lt=MAX_FILES)]
PieceIndex = Annotated[int, Meta(ge=0, lt=2**24)]
Run = tuple[PieceIndex, Annotated[int, Meta(ge=0, lt=256)], Annotated[int, Meta(ge=1, le=256)]]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Credits = Annotated[int, Meta(ge=0, lt=2**53)]
Bytes = Annotated[int, Meta(ge=0, lt=2**53)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Text = Annotated[str, Meta(max_length=1_024)]
Reason = Annotated[str, Meta(max_length=64)]
HostName = Annotated[str, Meta(max_length=255)]  # the longest that DNS knows


class Message(msgspec.Struct, frozen=True, array_like=True):
    """Base of all message bodies."""


# -- membership (TCP) -------------------------------------------------------------------------------------------------


class Join(Message, frozen=True):
    """A node asks to take part. Signed with `sign_key`, of which the sender's id is the hash."""

    sign_key: Key
    exchange_key: Key  # X25519, fresh per boot: session keys are agreed from it
    host: HostName
    port: Port
    upload_bytes_per_s: Annotated[float, Meta(ge=0)]


class Welcome(Message, frozen=True):
    """The tracker's answer to `Join`: the session key's other half and the node's balance. Signed, as no key is shared yet."""

    sign_key: Key
    exchange_key: Key
    board: int
    balance_credits: int


class Leave(Message, frozen=True):
    """A node says goodbye; what it held stops being offered."""


class Ok(Message, frozen=True):
    """A request was carried out."""


class Reject(Message, frozen=True):
    """A legal no, with its reason code."""

    reason: Reason
    detail: Text = ""


# -- catalogue (TCP) --------------------------------------------------------------------------------------------------


class Manifest(Message, frozen=True):
    """What makes a file: its name, size and pieces. `root` is the hash that names it (`node/content.py`)."""

    name: Text  # a relative POSIX path, any Unicode
    size_bytes: Bytes
    pieces: list[Key]  # SHA-256 of each piece, in order; empty for an empty file
    root: Key


class Publish(Message, frozen=True):
    """A node offers and holds a file; publishing the same root again returns the same index."""

    manifest: Manifest


class Published(Message, frozen=True):
    """The file's index in the catalogue: files are meant by it from now on."""

    index: FileIndex


class GetCatalogue(Message, frozen=True):
    """Ask for the files from `first` on."""

    first: FileIndex = 0


class Entry(Message, frozen=True):
    """One file of the catalogue."""

    index: FileIndex
    name: Text
    size_bytes: Bytes
    root: Key


class Catalogue(Message, frozen=True):
    """Files of the catalogue, in order of index."""

    files: list[Entry]


class GetManifest(Message, frozen=True):
    """Ask for a file's manifest, answered by `Manifest`."""

    index: FileIndex


class Hold(Message, frozen=True):
    """A node says whether it holds (and serves) a file."""

    index: FileIndex
    holds: bool


# -- repertoires (TCP) ------------------------------------------------------------------------------------------------


class Sell(Message, frozen=True):
    """A content provider offers and holds a file of its repertoire: whoever else is to serve it must buy a licence.

    Answered by `Published`. The first who publishes a file, free or for sale, fixes its terms.
    """

    manifest: Manifest
    price_credits: Credits


class Buy(Message, frozen=True):
    """A server buys the licence to serve a file. Bought again, it costs nothing."""

    index: FileIndex


class Licensed(Message, frozen=True):
    """The licence is the sender's, and paid."""

    index: FileIndex
    price_credits: Credits


class GetOffers(Message, frozen=True):
    """Ask for what providers sell, from file `first` on."""

    first: FileIndex = 0


class Offer(Message, frozen=True):
    """A file of a repertoire, its fixed price, and whether the asking node may serve it already."""

    index: FileIndex
    provider: NodeId
    price_credits: Credits
    licensed: bool


class Offers(Message, frozen=True):
    """Files for sale in order of index, and what a server weighs a price against.

    That is the flat fee, and the share B_i/Σ_k B_k of all bandwidth that the asking node has, or would have if it served.
    """

    files: list[Offer]
    fee_credits: Credits
    share: Share


# -- a download (TCP) -------------------------------------------------------------------------------------------------


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


class GetBalance(Message, frozen=True):
    """Ask for the sender's own balance."""


class Balance(Message, frozen=True):
    """An account's free balance and what is held of it."""

    free_credits: int
    held_credits: Credits


# -- datagrams --------------------------------------------------------------------------------------------------------


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


class Queued(Message, frozen=True):
    """A server has a request and serves older downloads of the file first, for about `wait_ns`. Tagged.

    So silence is no loss, and asking again is no use.
    """

    download: DownloadId
    wait_ns: Annotated[int, Meta(ge=0, lt=2**62)]


TYPES: tuple[type[Message], ...] = (
    Join,
    Welcome,
    Leave,
    Ok,
    Reject,
    Manifest,
    Publish,
    Published,
    GetCatalogue,
    Catalogue,
    GetManifest,
    Hold,
    Open,
    Order,
    Opened,
    GetServers,
    Servers,
    Close,
    Closed,
    GetBalance,
    Balance,
    Heartbeat,
    Deposit,
    Odds,
    Request,
    Refusal,
    Receipt,
    Done,
    Queued,
    GetStanding,
    Standing,
    Sell,
    Buy,
    Licensed,
    GetOffers,
    Offers,
)
"""Message types by number. Append only: a number is part of the wire format."""

SIGNED: frozenset[type[Message]] = frozenset({Join, Welcome, Order, Odds, Close, Receipt})
"""Money, receipts, offers and odds are signed; everything else carries a session tag."""
