"""Pure: what delivered bytes cost, the flat fee of their download by its file's size, and what servers were paid for them.

Source: huberman-wu, section 2 (a flat fee per download); DESIGN section 4 (settlement by bytes).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from netem.events import Event
from netem.metric import Handler
from node.events import PieceAccepted
from tracker.events import DownloadSettled, FeeHeld, FilePublished


class Prices:
    """Remember fees and sizes of what is being downloaded, and all payouts, from the tracker's events.

    Attributes:
        earned_credits: what each server was paid at settlements, micro-credits.
    """

    def __init__(self) -> None:
        self.earned_credits: Counter[bytes] = Counter()
        self._sizes_bytes: dict[int, int] = {}
        self._held: dict[bytes, FeeHeld] = {}

    def folds(self, *, accepted: Handler, settled: Handler) -> Mapping[type[Event], Handler]:
        """Return how to follow the money; `accepted` takes a piece at its price, and `settled` a settlement, which it gives to `settle`."""
        return {
            FilePublished: lambda _, event: self.publish(event),
            FeeHeld: lambda _, event: self.hold(event),
            PieceAccepted: accepted,
            DownloadSettled: settled,
        }

    def publish(self, event: FilePublished) -> None:
        """Take a file's size."""
        self._sizes_bytes[event.index] = event.size_bytes

    def hold(self, event: FeeHeld) -> None:
        """Take a download's fee."""
        self._held[event.download] = event

    def settle(self, event: DownloadSettled) -> bytes:
        """Count the payouts of a download and forget it; return who paid for it, empty if it was never heard of."""
        for server, paid in event.payouts:
            self.earned_credits[server] += paid
        held = self._held.pop(event.download, None)
        return b"" if held is None else held.downloader

    def credits(self, download: bytes, nbytes: int) -> float:
        """Return the micro-credits that so many bytes of a download come to, 0 for one that is not known (any more)."""
        held = self._held.get(download)
        size_bytes = 0 if held is None else self._sizes_bytes.get(held.index, 0)
        return nbytes / size_bytes * held.fee_credits if held is not None and size_bytes else 0.0
