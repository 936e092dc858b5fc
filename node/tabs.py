"""Pure: what each downloader owes a server: how far it is served on credit, and how often it may ask.

Receipts come after the bytes, so somebody must trust first. A server lets a downloader owe a little, over all its downloads
together: enough for an honest one, whose receipt for a piece comes when the piece is whole. Who owes more than that waits
behind everybody else, and beyond `MOST_OWED_BYTES` nothing is sent. So whoever never signs a receipt gets at most that much
from a server, once and for all.

Source: DESIGN section 4 (receipts); the bounded deficit of Bitswap's and BitTorrent's ledgers.
"""

from __future__ import annotations

from tracker.budget import Budget
from tracker.messages import BLOCK_BYTES, PIECE_BYTES

OWED_BYTES = 7 * PIECE_BYTES // 4  # a piece, most of a window, and what is lost of both at 10 %
MOST_OWED_BYTES = 4 * PIECE_BYTES  # a piece, a full window of 256 blocks, and what is lost of both at 50 %
PAID_PER_RECEIPTED = 2  # sent bytes that a receipted one pays for: up to half may be lost on the way
FORGIVEN_BYTES_PER_S = 1024  # so that lost last receipts are no burden for ever
REQUESTS_PER_S = 20.0
REQUESTS_BURST = 200.0  # beside one for each block sent: an honest request asks for blocks

_NS_PER_S = 1_000_000_000


class Tab:
    """One downloader's account with one server.

    Attributes:
        sent_bytes, receipted_bytes: all that was ever sent, and receipted.
        paid_bytes: what of it is paid for or forgiven; more than was sent is credit.
        equivocated: whether it ever signed two receipts that contradict each other; it is served no more.
        forgiven_ns: until when time has forgiven what it could.

    Invariant: -`MOST_OWED_BYTES` <= `owed_bytes`; while blocks are sent only as `exhausted` allows, the bytes sent are at most
    `MOST_OWED_BYTES` + a block + `PAID_PER_RECEIPTED` * receipted + `FORGIVEN_BYTES_PER_S` * time.
    """

    __slots__ = (
        "_asked_bytes",
        "_requests",
        "equivocated",
        "forgiven_ns",
        "paid_bytes",
        "receipted_bytes",
        "sent_bytes",
    )

    def __init__(self, now_ns: int) -> None:
        self.sent_bytes = self.receipted_bytes = self.paid_bytes = 0
        self.equivocated = False
        self._asked_bytes = 0  # sent before it last asked
        self._requests = Budget(per_s=REQUESTS_PER_S, burst=REQUESTS_BURST, now_ns=now_ns)
        self.forgiven_ns = now_ns

    @property
    def owed_bytes(self) -> int:
        """What was sent and not paid for."""
        return self.sent_bytes - self.paid_bytes

    @property
    def late(self) -> bool:
        """Whether it owes more than an honest downloader needs to."""
        return self.owed_bytes > OWED_BYTES

    @property
    def exhausted(self) -> bool:
        """Whether nothing more is to be sent on credit."""
        return self.sent_bytes - self.paid_bytes >= MOST_OWED_BYTES or self.equivocated

    @property
    def unreceipted_bytes(self) -> int:
        """How much a true receipt may be for."""
        return self.sent_bytes - self.receipted_bytes

    def sent(self, nbytes: int) -> bool:
        """Note a block sent; say whether it is now `exhausted`."""
        self.sent_bytes += nbytes
        return self.exhausted

    def may_ask(self, now_ns: int) -> bool:
        """Count a request; say whether it is not one too many."""
        self._requests.add((self.sent_bytes - self._asked_bytes) / BLOCK_BYTES)
        self._asked_bytes = self.sent_bytes
        return self._requests.take(now_ns)

    def receipted(self, nbytes: int) -> None:
        """Note newly receipted bytes (>= 0)."""
        self.receipted_bytes += nbytes
        self.paid_bytes = min(self.paid_bytes + PAID_PER_RECEIPTED * nbytes, self.sent_bytes + MOST_OWED_BYTES)

    def bounced(self, nbytes: int) -> None:
        """Take back a payment: the tracker refused the receipts for so many bytes."""
        self.paid_bytes -= PAID_PER_RECEIPTED * nbytes

    def forgive(self, now_ns: int) -> None:
        """Forgive what time forgives; call it now and then."""
        forgiven = FORGIVEN_BYTES_PER_S * (now_ns - self.forgiven_ns) // _NS_PER_S
        if forgiven > 0:
            self.forgiven_ns = now_ns
            self.paid_bytes += min(forgiven, max(self.owed_bytes, 0))


class Tabs:
    """The tabs of all downloaders that a server knows of."""

    def __init__(self) -> None:
        self._tabs: dict[bytes, Tab] = {}

    def of(self, downloader: bytes, now_ns: int) -> Tab:
        """Return the tab of a downloader, a new one if need be."""
        tab = self._tabs.get(downloader)
        if tab is None:
            tab = self._tabs[downloader] = Tab(now_ns)
        return tab

    def all(self) -> dict[bytes, Tab]:
        """Return every tab by its downloader; they are only to be looked at."""
        return self._tabs

    def forgive(self, now_ns: int) -> None:
        """Forgive everybody what time forgives."""
        for tab in self._tabs.values():
            if tab.sent_bytes > tab.paid_bytes:
                tab.forgive(now_ns)
            else:
                tab.forgiven_ns = now_ns  # as forgiving would: most owe nothing, and a call each costs more
