"""trio: replay receipts: deposit each again and again, changed, signed by itself, and after its download is settled.

Aim: be paid, and proven, more than once for the same bytes. Defence: receipts are cumulative and signed by the downloader; a frame is
taken once.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar

import trio

from netem.host import Endpoint
from node.roles.base import Role
from tracker import messages as m
from tracker.wire import encode_signed

EVERY_S = 0.1
KEPT = 64  # receipts: the oldest are of downloads long settled


class ReplayReceipts(Role):
    """Serve, and make the most of every receipt."""

    name: ClassVar[str] = "replay_receipts"
    symptom: ClassVar[str] = "replayed"
    serves: ClassVar[bool] = True

    def _open_sides(self, endpoint: Endpoint) -> None:
        super()._open_sides(endpoint)
        self._kept: deque[tuple[m.Receipt, bytes]] = deque(maxlen=KEPT)

    def _on_message(self, message: m.Message, datagram: bytes, *, sender: bytes) -> None:
        super()._on_message(message, datagram, sender=sender)
        if isinstance(message, m.Receipt):
            self._kept.append((message, datagram))

    async def act(self) -> None:
        """Deposit the newest and the oldest receipt every tenth of a second (see `Role.act`)."""
        while True:
            await trio.sleep(EVERY_S)
            session = self._link.session
            if self._kept and session is not None:
                (newest, frame), (_, old_frame) = self._kept[-1], self._kept[0]
                changed = frame[:40] + bytes([frame[40] ^ 1]) + frame[41:]
                deposit = m.Deposit([frame, old_frame, changed, self._own(newest)])
                datagram = session.seal(deposit, board=self._link.board)
                for _ in range(2):
                    self._endpoint.send(datagram, self._config.tracker)
                self.done["repeated receipts"] += 1

    def _own(self, word: m.Receipt) -> bytes:
        """Return a receipt for more that this node signs for itself."""
        more = m.Receipt(word.download, self.node, 2 * word.total_bytes, word.count + 1, word.root)
        return encode_signed(more, identity=self._identity, to=self.node, seq=0, board=self._link.board)
