"""Pure: what delivered bytes cost: the flat fee of their download by its file's size, as it will be settled.

Source: huberman-wu, section 2 (a flat fee per download); DESIGN section 4 (settlement by bytes).
"""

from __future__ import annotations

from tracker.events import DownloadSettled, FeeHeld, FilePublished


class Prices:
    """Remember fees and sizes of what is being downloaded, from the tracker's events."""

    def __init__(self) -> None:
        self._sizes_bytes: dict[int, int] = {}
        self._held: dict[bytes, FeeHeld] = {}

    def publish(self, event: FilePublished) -> None:
        """Take a file's size."""
        self._sizes_bytes[event.index] = event.size_bytes

    def hold(self, event: FeeHeld) -> None:
        """Take a download's fee."""
        self._held[event.download] = event

    def settle(self, event: DownloadSettled) -> bytes:
        """Forget a download; return who paid for it, empty if it was never heard of."""
        held = self._held.pop(event.download, None)
        return b"" if held is None else held.downloader

    def credits(self, download: bytes, nbytes: int) -> float:
        """Return the micro-credits that so many bytes of a download come to, 0 for one that is not known (any more)."""
        held = self._held.get(download)
        size_bytes = 0 if held is None else self._sizes_bytes.get(held.index, 0)
        return nbytes / size_bytes * held.fee_credits if held is not None and size_bytes else 0.0
