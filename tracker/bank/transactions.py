"""Pure: transactions, what they are for, and their canonical bytes.

A transaction moves integer micro-credits between accounts; its postings sum to zero. Its memo says what it is for and
carries the numbers the postings were computed from, so that anyone can compute them again. What a tracker must still know
after a crash is a transaction too, of no postings: its files, free or offered for sale, and the closes of downloads. Accounts are text:
`user/<hex of node id>`, `hold/<hex of download id>` and `mint`, where all credits come from.

Source: DESIGN section 4, the bank; protocol-design 5.3, ledger.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from tracker.messages import Manifest
from tracker.messages.fields import Bytes, Credits, FileIndex, Key, NodeId

CREDIT = 1_000_000  # micro-credits in a credit
MINT = "mint"
USER = "user/"
HOLD = "hold/"

TransactionId = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Posting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One leg of a transaction: `amount_credits` (micro-credits, negative when taken) is added to the account."""

    account: str
    amount_credits: int


class TariffMemo(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tariff"):
    """The flat fee in force from the transaction's board on; moves nothing. Each boot of a tracker begins with one."""

    fee_credits: Credits


class MintMemo(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="mint"):
    """Credits enter the economy, and why."""

    reason: str


class FileMemo(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="file"):
    """A file enters the catalogue under the next free index; moves nothing."""

    index: FileIndex
    manifest: Manifest


class OfferMemo(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="offer"):
    """A file enters the catalogue as a provider's, who sells licences to serve it at a fixed price; moves nothing."""

    index: FileIndex
    manifest: Manifest
    provider: NodeId
    price_credits: Credits


class LicenceMemo(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="licence"):
    """A server pays a provider its price, and may serve the file from now on."""

    index: FileIndex


class HoldMemo(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="hold"):
    """The fee for a download of a file is set aside until it settles; after `expires_ns` the tracker settles it unasked.

    Receipts for it are signed with `sign_key`.
    """

    expires_ns: int
    index: FileIndex
    size_bytes: Bytes
    sign_key: Key


class CloseMemo(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="close"):
    """The downloader's final word on an open hold, by node id; moves nothing, and its settlement pays no server for less."""

    totals: tuple[tuple[NodeId, Bytes], ...]


class SettleMemo(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="settle"):
    """A hold is released: the fee held, the file's size and the accepted bytes by server, in order of node id."""

    fee_credits: Credits
    size_bytes: Bytes
    totals: tuple[tuple[NodeId, Bytes], ...]


Memo = TariffMemo | MintMemo | FileMemo | OfferMemo | LicenceMemo | HoldMemo | CloseMemo | SettleMemo


class Transaction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One balanced movement of credits.

    `ref` is `board/<n>` for a tariff, `<reason>/<account>` for a mint, the hex of the root for a file or an offer,
    `file/<index>/<account>` for a licence, and the hex of the download id for a hold, its close and its settlement. `board` is
    the number of the odds board, `time_ns` Unix nanoseconds.
    """

    id: TransactionId
    board: int
    time_ns: int
    ref: str
    postings: tuple[Posting, ...]
    memo: Memo

    @property
    def kind(self) -> str:
        """Return `tariff`, `mint`, `file`, `offer`, `licence`, `hold`, `close` or `settle`."""
        return str(self.memo.__struct_config__.tag)


_ID_END = 19  # a byte for the array, two before the id
# Of a MessagePack integer, by its first byte; all others have one byte.
_INTEGER_BYTES = {bytes([0xCC + code]): nbytes for code, nbytes in enumerate([2, 3, 5, 9, 2, 3, 5, 9])}
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Transaction)


def encode(transaction: Transaction) -> bytes:
    """Return the canonical bytes, over which the journal's chain runs."""
    return _encoder.encode(transaction)


def decode(body: bytes) -> Transaction:
    """Read canonical bytes.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: these are no bytes of a transaction.
    """
    return _decoder.decode(body)


def terms(body: bytes) -> bytes:
    """Return a digest (16 bytes) of what a transaction is and moves, whatever the board and time of its attempt.

    Args:
        body: its canonical bytes: an array whose first three fields are id, board and time.
    """
    time_at = _ID_END + _INTEGER_BYTES.get(body[_ID_END : _ID_END + 1], 1)
    return hashlib.blake2b(
        body[time_at + _INTEGER_BYTES.get(body[time_at : time_at + 1], 1) :], digest_size=16
    ).digest()


def transaction_id(kind: str, ref: str) -> bytes:
    """Derive the 16-byte id of the only transaction of this kind about `ref`."""
    return hashlib.blake2b(f"{kind}\0{ref}".encode(), digest_size=16, person=b"swarmbed-bank").digest()


def user_account(node: bytes) -> str:
    """Name a node's account."""
    return USER + node.hex()


def hold_account(download: bytes) -> str:
    """Name the account in which a download's fee is held."""
    return HOLD + download.hex()


def credits_text(amount_credits: int) -> str:
    """Write micro-credits as credits with six decimals."""
    whole, part = divmod(abs(amount_credits), CREDIT)
    return f"{'-' if amount_credits < 0 else ''}{whole}.{part:06d}"
