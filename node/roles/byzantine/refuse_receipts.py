"""trio: refuse receipts: download, sign nothing, and close as if nothing had come.

Aim: files for nothing. Defence: a server lets a downloader owe `MOST_OWED_BYTES` over all its downloads together, and sends no block
beyond that; so this is what each server loses to an identity, once.
"""

from __future__ import annotations

from typing import ClassVar

from node.download import Download
from node.downloader import Downloader
from node.receiving import RECEIPT_NS
from node.roles.base import Role, UnpaidDownloader

PATIENCE_S = 20.0  # with one file


class _Silent(UnpaidDownloader):
    """A downloader that signs no receipt."""

    def _send_receipts(self, download: Download, now_ns: int, *, final: bool) -> None:
        """Sign nothing."""
        if final:
            download.receipts_due_ns = now_ns + RECEIPT_NS

    def _repeat_receipt(self, download: Download, server: bytes) -> None:
        """Sign nothing, though asked."""


class RefuseReceipts(Role):
    """Download one file after the other without signing for it."""

    name: ClassVar[str] = "refuse_receipts"
    symptom: ClassVar[str] = "late"
    downloader_kind: ClassVar[type[Downloader]] = _Silent

    async def act(self) -> None:
        """Fetch all files in turn, twenty seconds each at most (see `Role.act`)."""
        await self._fetch_in_turn(PATIENCE_S)
