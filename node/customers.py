"""Pure: the downloads that a node serves, each with its newest receipt.

Source: DESIGN section 4 (orders, receipts).
"""

from __future__ import annotations

from dataclasses import dataclass

from netem.errors import BadFrame
from node.serving import Asked
from node.tabs import Tab
from tracker import messages as m
from tracker.session import Session

DEPOSIT_REPEATS = 2  # a receipt rides on this many heartbeats: one lost datagram must not hide it


@dataclass(slots=True, kw_only=True, eq=False)
class Customer(Asked):
    """A download that this node serves, and the newest receipt for it.

    Attributes:
        flow: what its blocks are named by.
        address: where it asked from last.
        void: whether the tracker takes no receipts for it.
        receipt_frame: the newest receipt, as it came; empty before the first.
        total_bytes, pieces: what that one counts.
        deposited_bytes: what the one last deposited counted ...
        banked_bytes: ... and the one before, which the tracker has not refused.
        deposits_left: how often the newest receipt is still to be deposited.
    """

    order: m.Order
    session: Session
    flow: bytes
    address: tuple[str, int]
    tab: Tab
    void: bool = False
    receipt_frame: bytes = b""
    total_bytes: int = 0
    pieces: int = 0
    deposited_bytes: int = 0
    banked_bytes: int = 0
    deposits_left: int = 0

    def take(self, receipt: m.Receipt, frame: bytes) -> bool:
        """Keep a receipt, and its exact frame, if it says more than the last one; say whether it does.

        Raises:
            BadFrame: `bad-receipt`: for more than was sent; `equivocation`: it contradicts the last one, which goes on the
                tab. Otherwise nothing changed.
        """
        more_bytes, more_pieces = receipt.total_bytes - self.total_bytes, receipt.count - self.pieces
        if more_bytes > self.tab.unreceipted_bytes:  # over all downloads: one may go on with another's blocks
            raise BadFrame("bad-receipt", "for more than was sent")
        if (more_bytes > 0) != (more_pieces > 0):
            self.tab.equivocated = True
            raise BadFrame("equivocation", "bytes and pieces do not grow together")
        if more_bytes <= 0:
            return False
        self.tab.receipted(more_bytes)
        self.total_bytes, self.pieces = receipt.total_bytes, receipt.count
        self.receipt_frame = frame
        self.deposits_left = DEPOSIT_REPEATS
        return True

    def deposit(self) -> bytes:
        """Return the frame of the newest receipt, to forward it once more."""
        self.deposits_left -= 1
        self.banked_bytes, self.deposited_bytes = self.deposited_bytes, self.total_bytes
        return self.receipt_frame

    def bounce(self) -> None:
        """Count what was receipted since the last deposit that went well as unpaid: the tracker refuses its receipts."""
        self.void = True
        self.tab.bounced(self.total_bytes - self.banked_bytes)
        self.banked_bytes = self.total_bytes
