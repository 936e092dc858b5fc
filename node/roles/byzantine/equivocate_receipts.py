"""trio: equivocate receipts: download, tell each server and the tracker different things, and have the fee back.

Aim: files for nothing. Every server first gets a receipt for one byte in very many pieces, so that the true ones that follow
contradict it; the close says that nothing was received, and a second one something else. Defence: a server counts only
receipts that the tracker would take, and lets a downloader owe little; a second close is refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from netem.errors import Rejection
from node.download import Download
from node.downloader import Downloader
from node.receiving import RECEIPT_NS
from node.roles.base import Role, UnpaidDownloader
from tracker import messages as m

PATIENCE_S = 20.0  # with one file
MANY = 2**40


class _Equivocator(UnpaidDownloader):
    """A downloader whose receipts contradict each other, and its closes too."""

    async def _deny(self, download: Download) -> None:
        await super()._deny(download)
        with suppress(Rejection):
            await self._link.ask(m.Close(download.download, [(self._node, 1)]), m.Closed)

    def _send_receipts(self, download: Download, now_ns: int, *, final: bool) -> None:
        if final:
            download.receipts_due_ns = now_ns + RECEIPT_NS
        for server in download.credit.servers():
            source, word = download.sources.get(server), download.credit.repeated(server)
            if source is not None and word is not None:
                lie = m.Receipt(word.download, server, 1, MANY, word.root)
                receipt = word if word.count > 1 else lie
                self._endpoint.send(source.session.seal(receipt, board=self._link.board), source.address)


class EquivocateReceipts(Role):
    """Download one file after the other without paying."""

    name: ClassVar[str] = "equivocate_receipts"
    symptom: ClassVar[str] = "equivocation"
    downloader_kind: ClassVar[type[Downloader]] = _Equivocator

    async def act(self) -> None:
        """Fetch all files in turn, twenty seconds each at most (see `Role.act`)."""
        await self._fetch_in_turn(PATIENCE_S)
