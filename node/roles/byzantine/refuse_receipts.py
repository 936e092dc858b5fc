"""trio: refuse receipts: download, sign nothing, and close as if nothing had come.

Aim: files for nothing. Defence: a server lets a downloader owe `MOST_OWED_BYTES` over all its downloads together, and sends no block
beyond that; so this is what each server loses to an identity, once.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

import trio

from netem.errors import Rejection
from node.downloader import CLOSE_S, RECEIPT_NS, Download, Downloader
from node.roles.base import Role
from tracker import messages as m

PATIENCE_S = 20.0  # with one file


class _Silent(Downloader):
    """A downloader that signs no receipt."""

    async def fetch(self, index: int) -> m.Manifest:
        download = await self._open(index, await self._manifest(index))
        reason = "stopped"
        try:
            reason = await self._until_over(download)
        finally:
            self._end(download, reason)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S):
                await self._link.ask(m.Close(download.download, []), m.Closed)
        return download.manifest

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
        while True:
            for file in await self._files():
                self.done["downloads"] += 1
                with trio.move_on_after(PATIENCE_S), suppress(Rejection):
                    manifest = await self._downloader.fetch(file.index)
                    self._store.discard(manifest.root)
                    self.done["files had"] += 1
