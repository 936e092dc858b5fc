"""Pure: what the tracker books, each made into its transaction: tariff, mint, file, offer, licence, hold, close, settlement.

Ids are derived from the kind and the ref, so a retry is the same transaction and two runs have the same journal.

Source: DESIGN section 4, the bank; protocol-design 5.3, ledger.
"""

from __future__ import annotations

from collections.abc import Mapping

from tracker.bank.transactions import (
    HOLD,
    MINT,
    USER,
    CloseMemo,
    FileMemo,
    HoldMemo,
    LicenceMemo,
    MintMemo,
    OfferMemo,
    Posting,
    SettleMemo,
    TariffMemo,
    Transaction,
    transaction_id,
)
from tracker.messages import Manifest
from tracker.settlement import split_fee


def tariff(fee_credits: int, *, board: int, time_ns: int) -> Transaction:
    """Set the flat fee from `board` on; it must be the first transaction of that board."""
    ref = f"board/{board}"
    return Transaction(transaction_id("tariff", ref), board, time_ns, ref, (), TariffMemo(fee_credits))


def mint(account: str, amount_credits: int, *, board: int, time_ns: int, reason: str = "endowment") -> Transaction:
    """Bring credits into a user account, once per account and reason."""
    ref = f"{reason}/{account}"
    postings = (Posting(MINT, -amount_credits), Posting(account, amount_credits))
    return Transaction(transaction_id("mint", ref), board, time_ns, ref, postings, MintMemo(reason))


def publish(manifest: Manifest, *, index: int, board: int, time_ns: int) -> Transaction:
    """Enter a file into the catalogue."""
    ref = manifest.root.hex()
    return Transaction(transaction_id("file", ref), board, time_ns, ref, (), FileMemo(index, manifest))


def offer(
    manifest: Manifest, *, index: int, provider: bytes, price_credits: int, board: int, time_ns: int
) -> Transaction:
    """Enter a provider's file into the catalogue, for sale; its id is that of a free file: a file has one set of terms."""
    ref = manifest.root.hex()
    memo = OfferMemo(index, manifest, provider, price_credits)
    return Transaction(transaction_id("file", ref), board, time_ns, ref, (), memo)


def licence_ref(index: int, buyer: str) -> str:
    """Return what a licence is filed under: its file and the account that pays."""
    return f"file/{index}/{buyer}"


def licence(index: int, *, buyer: str, provider: str, price_credits: int, board: int, time_ns: int) -> Transaction:
    """Sell a licence to serve a file, once per account and file."""
    ref = licence_ref(index, buyer)
    postings = (Posting(buyer, -price_credits), Posting(provider, price_credits))
    return Transaction(transaction_id("licence", ref), board, time_ns, ref, postings, LicenceMemo(index))


def hold(download: bytes, account: str, fee_credits: int, *, terms: HoldMemo, board: int, time_ns: int) -> Transaction:
    """Set aside the fee of a download from its downloader's account."""
    ref = download.hex()
    postings = (Posting(account, -fee_credits), Posting(HOLD + ref, fee_credits))
    return Transaction(transaction_id("hold", ref), board, time_ns, ref, postings, terms)


def close(download: bytes, totals: Mapping[bytes, int], *, board: int, time_ns: int) -> Transaction:
    """Note how many bytes the downloader accepted, by server."""
    ref = download.hex()
    memo = CloseMemo(tuple(sorted(totals.items())))
    return Transaction(transaction_id("close", ref), board, time_ns, ref, (), memo)


def settle(
    download: bytes,
    *,
    downloader: str,
    fee_credits: int,
    size_bytes: int,
    totals: Mapping[bytes, int],
    board: int,
    time_ns: int,
) -> Transaction:
    """Release a hold entirely: payouts by `split_fee`, the rest back to the downloader's account.

    Without totals this is the refund of a download that brought nothing.
    """
    ref = download.hex()
    memo = SettleMemo(fee_credits, size_bytes, tuple(sorted(totals.items())))
    postings = settle_postings(ref, downloader, memo=memo)
    return Transaction(transaction_id("settle", ref), board, time_ns, ref, postings, memo)


def settle_postings(ref: str, downloader: str, *, memo: SettleMemo) -> tuple[Posting, ...]:
    """Compute the postings of a settlement from its memo: the hold, payouts by node id, the refund; no empty legs."""
    payouts, refund_credits = split_fee(memo.fee_credits, size_bytes=memo.size_bytes, totals=dict(memo.totals))
    legs = [Posting(HOLD + ref, -memo.fee_credits)]
    legs += [Posting(USER + server.hex(), paid) for server, paid in payouts.items() if paid]
    if refund_credits:
        legs.append(Posting(downloader, refund_credits))
    return tuple(legs)
