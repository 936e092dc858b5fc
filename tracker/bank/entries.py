"""Pure: the records of the ledger: a transaction in its chain, an open hold, a close.

Source: DESIGN section 4, the bank.
"""

from __future__ import annotations

import hashlib

import msgspec

from tracker.bank.transactions import HoldMemo, Transaction

GENESIS = bytes(32)
"""The head of an empty journal."""

_CHAIN = hashlib.blake2b(digest_size=32, person=b"swarmbed-chain")  # a copy costs less than a new one


def link(head: bytes, body: bytes) -> bytes:
    """Return the head (32 bytes) after one more transaction: BLAKE2b-256 over the head before and its bytes."""
    digest = _CHAIN.copy()
    digest.update(head + body)
    return digest.digest()


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A transaction in its place in the journal: canonical bytes, the head after it, and its `terms`."""

    transaction: Transaction
    body: bytes
    head: bytes
    terms: bytes


class OpenHold(msgspec.Struct, frozen=True, gc=False):
    """A fee that is set aside from `account`, and the terms it is held on."""

    download: bytes
    account: str
    fee_credits: int
    terms: HoldMemo


class Closed(msgspec.Struct, frozen=True, gc=False):
    """A downloader's final word: whose it is, the bytes accepted by server (sorted by id), and when it came."""

    download: bytes
    account: str
    totals: tuple[tuple[bytes, int], ...]
    time_ns: int
