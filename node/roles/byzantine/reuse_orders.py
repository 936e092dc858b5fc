"""trio: reuse orders: close a download at once, have the fee back, and show its order all the same.

Aim: files for nothing, with receipts that are right in all but that nobody pays for them any more. Defence: the tracker tells a server of
receipts that it does not take; the server then serves that order no more, and what it sent is owed.
"""

from __future__ import annotations

from typing import ClassVar

import trio

from node.downloader import Downloader
from node.roles.base import Role
from tracker import messages as m

SETTLED_S = 2.5  # after which the fee is back
PATIENCE_S = 10.0  # with one order


class _Thrifty(Downloader):
    """A downloader that closes first and downloads afterwards."""

    async def fetch(self, index: int) -> m.Manifest:
        download = await self._open(index, await self._manifest(index))
        reason = "stopped"
        try:
            await self._link.ask(m.Close(download.download, []), m.Closed)
            await trio.sleep(SETTLED_S)
            reason = await self._until_over(download)
        finally:
            self._end(download, reason)
        return download.manifest


class ReuseOrders(Role):
    """Download one file after the other on orders that are worth nothing."""

    name: ClassVar[str] = "reuse_orders"
    symptom: ClassVar[str] = "receipt-unknown-download"
    downloader_kind: ClassVar[type[Downloader]] = _Thrifty

    async def act(self) -> None:
        """Fetch all files in turn, ten seconds each at most (see `Role.act`)."""
        await self._fetch_in_turn(PATIENCE_S)
