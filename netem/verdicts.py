"""Pure: what a certificate says of one quantity of many links: configured, realised, and how far apart they may honestly be.

Source: DESIGN section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Quantity:
    """One quantity over all links: realised and configured value, and how far they may be apart.

    `tolerance` is also the smallest deviation that is sure to be noticed. With 0 packets there was nothing to judge: the
    values are None and `ok` is False.
    """

    packets: int
    realised: float | None = None
    configured: float | None = None
    tolerance: float | None = None

    @property
    def ok(self) -> bool:
        """Whether there was something to judge and it is within the tolerance."""
        if self.realised is None or self.configured is None or self.tolerance is None:
            return False
        return bool(abs(self.realised - self.configured) <= self.tolerance)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for result.json."""
        return {
            "packets": self.packets,
            "realised": self.realised,
            "configured": self.configured,
            "tolerance": self.tolerance,
            "ok": self.ok,
            "note": "" if self.packets else "nothing to judge",
        }


@dataclass(frozen=True, eq=False)
class Verdicts:
    """One quantity of many rows, a row being a link or all links with one configuration.

    `realised`, `configured`, the allowed range `low` to `high` (at the family's level) and the `error` (standard deviation of
    `realised` by the model's own law) are float64, one element a row, NaN where there is nothing to say. `judged` tells the
    rows that were judged; `why` (objects) says why others were not, None for a row without the quantity.
    """

    name: str
    realised: np.ndarray
    configured: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    judged: np.ndarray
    why: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """Mark the rows outside what is allowed."""
        outside: np.ndarray = self.judged & ((self.realised < self.low) | (self.realised > self.high))
        return outside

    @property
    def used(self) -> np.ndarray:
        """Return how much of the allowed deviation each row has: at most 1 if it is right, 0 if it is not judged."""
        deviation = self.realised - self.configured
        room = np.where(deviation > 0.0, self.high - self.configured, self.configured - self.low)
        with np.errstate(divide="ignore", invalid="ignore"):
            used = np.where(deviation == 0.0, 0.0, np.abs(deviation) / np.maximum(room, 0.0))
        return np.where(self.judged, used, 0.0)

    def tell(self, row: int) -> dict[str, Any]:
        """Return plain values for one row."""
        why = self.why[row]
        if not self.judged[row]:
            return {} if why is None else {"judged": False, "why": why, **self._plain(row, "realised", "configured")}
        return {
            **self._plain(row, "realised", "configured", "error", "low", "high"),
            "ok": not bool(self.wrong[row]),
        }

    def sentence(self, row: int, *, of: str) -> str:
        """Say what is wrong with a row."""
        realised, configured, low, high = (
            f"{float(column[row]):.6g}" for column in (self.realised, self.configured, self.low, self.high)
        )
        return f"{self.name} of {of} is {realised}, configured {configured}, allowed {low} to {high}"

    def _plain(self, row: int, *names: str) -> dict[str, float]:
        values = {name: float(getattr(self, name)[row]) for name in names}
        return {name: value for name, value in values.items() if not np.isnan(value)}
