"""Pure: how a download's fee is split by what its downloader says it accepted, and which receipts count.

Source: huberman-wu, section 2 (the fee is shared in proportion to what each server sent); DESIGN section 4, settlement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from netem.errors import Rejection
from tracker.messages import Receipt

EMPTY_ROOT = bytes(32)
"""The root of a receipt for nothing."""


def split_fee(fee_credits: int, *, size_bytes: int, totals: Mapping[bytes, int]) -> tuple[dict[bytes, int], int]:
    """Split a flat fee over the servers of one download, by largest remainder.

    Server i gets q_i = receipted_i / Σ_k receipted_k of the served part of the fee; the unserved part, 1 - Σ_k
    receipted_k / size, goes back. Receipts beyond the size are scaled down, so nothing goes back then. Equal
    remainders are served by node id, the refund last. Each amount is within one micro-credit of its exact share.

    Args:
        fee_credits: the fee held, micro-credits, >= 0.
        size_bytes: the size of the file, >= 0.
        totals: accepted bytes by server, each >= 0.

    Returns:
        Payouts by server, in order of node id, one for each server in `totals`, and the refund (micro-credits).

    Invariant: no amount is negative and payouts + refund = fee.
    """
    served_bytes = sum(totals.values())
    whole_bytes = max(size_bytes, served_bytes)
    if not whole_bytes:
        return dict.fromkeys(sorted(totals), 0), fee_credits
    payouts = {}
    refund_credits, rest = divmod(fee_credits * (whole_bytes - served_bytes), whole_bytes)
    left_credits = fee_credits - refund_credits
    # (-remainder, is the refund, server): sorting puts the largest first, then by id, the refund last.
    ranks = [(-rest, True, b"")]
    for server in sorted(totals):
        payouts[server], rest = divmod(fee_credits * totals[server], whole_bytes)
        left_credits -= payouts[server]
        ranks.append((-rest, False, server))
    if left_credits:
        ranks.sort()
        for _, is_refund, server in ranks[:left_credits]:
            if is_refund:
                refund_credits += 1
            else:
                payouts[server] += 1
    return payouts, refund_credits


def chain_root(root: bytes, piece: int, nbytes: int) -> bytes:
    """Return the root (32 bytes) after one more accepted piece; the chain starts at `EMPTY_ROOT`.

    Args:
        root: the root so far, 32 bytes.
        piece: index of the accepted piece, 0..2^32 - 1.
        nbytes: bytes of it that came from the receipt's server, 0..2^64 - 1.
    """
    link = root + piece.to_bytes(4, "big") + nbytes.to_bytes(8, "big")
    return hashlib.blake2b(link, digest_size=32, person=b"swarmbed-receipt").digest()


_Word = tuple[int, int, bytes]  # total bytes, count, root
_NOTHING: _Word = (0, 0, EMPTY_ROOT)


class ReceiptBook:
    """The newest receipt of each (download, server) while the download is open.

    Receipts are cumulative: a newer one has both a larger total and a larger count. Lost and late ones do no harm.

    Invariant: what is credited for a pair never shrinks.
    """

    def __init__(self) -> None:
        self._downloads: dict[bytes, dict[bytes, _Word]] = {}

    def add(self, receipt: Receipt) -> int:
        """Take a receipt whose signature was checked; return the bytes it newly credits, 0 if it is no newer.

        Raises:
            Rejection: `equivocation`, when it contradicts the newest one: no honest sequence of acceptances passes
                through both. Nothing changed.
        """
        newest = self._downloads.get(receipt.download, {}).get(receipt.server, _NOTHING)
        word = (receipt.total_bytes, receipt.count, receipt.root)
        more_bytes = word[0] - newest[0]
        more_pieces = word[1] - newest[1]
        if more_bytes > 0 and more_pieces > 0:
            self._downloads.setdefault(receipt.download, {})[receipt.server] = word
            return more_bytes
        if word == newest or (more_bytes < 0 and more_pieces < 0):
            return 0
        raise Rejection("equivocation", f"{word[0]} bytes in {word[1]} pieces after {newest[0]} in {newest[1]}")

    def totals(self, download: bytes) -> dict[bytes, int]:
        """Return the accepted bytes by server, in order of node id; empty for a download without receipts."""
        return {server: word[0] for server, word in sorted(self._downloads.get(download, {}).items())}

    def others_bytes(self, download: bytes, server: bytes) -> int:
        """Return the accepted bytes of a download from all servers but one."""
        return sum(word[0] for other, word in self._downloads.get(download, {}).items() if other != server)

    def forget(self, download: bytes) -> None:
        """Drop a download that was settled; a later receipt for it would start anew, so refuse those before."""
        self._downloads.pop(download, None)
