"""Pure: what a download owes each of its servers, and the receipts that say so.

Source: DESIGN section 4 (receipts are cumulative and monotone).
"""

from __future__ import annotations

from dataclasses import dataclass

from tracker.messages import Receipt
from tracker.settlement import EMPTY_ROOT, chain_root

RECEIPT_BYTES = 64 * 1024  # a server that is owed this much more is told without waiting for the next round


@dataclass(slots=True)
class _Account:
    """What was accepted from one server, and how much of it is receipted."""

    total_bytes: int = 0
    count: int = 0
    root: bytes = EMPTY_ROOT
    receipted_bytes: int = 0


class Credit:
    """The accounts of one download; they outlive a server's departure, so that receipts never go back.

    Invariant: per server, successive receipts have growing totals and counts.
    """

    def __init__(self, download: bytes) -> None:
        self._download = download
        self._accounts: dict[bytes, _Account] = {}

    def accept(self, server: bytes, *, piece: int, nbytes: int) -> None:
        """Note `nbytes` of a verified piece that came from a server."""
        account = self._accounts.setdefault(server, _Account())
        account.total_bytes += nbytes
        account.count += 1
        account.root = chain_root(account.root, piece, nbytes)

    def receipt(self, server: bytes, *, final: bool) -> Receipt | None:
        """Return the receipt to send to a server now: when it is owed a good deal, or (`final`) anything at all."""
        account = self._accounts.get(server)
        if account is None or account.total_bytes - account.receipted_bytes < (1 if final else RECEIPT_BYTES):
            return None
        account.receipted_bytes = account.total_bytes
        return self.repeated(server)

    def repeated(self, server: bytes) -> Receipt | None:
        """Return a receipt for all that was accepted from a server, whether it had one for it or not; None for nothing."""
        account = self._accounts.get(server)
        if account is None:
            return None
        return Receipt(self._download, server, account.total_bytes, account.count, account.root)

    def servers(self) -> list[bytes]:
        """Return the servers that anything was accepted from, in order of the first time."""
        return list(self._accounts)
